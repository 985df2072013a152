"""Who is shut out because no group of the provider gives them a role."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("web", "0010_claims")]

    operations = [
        migrations.AddField("Person", "out", models.BooleanField(default=False)),
    ]
