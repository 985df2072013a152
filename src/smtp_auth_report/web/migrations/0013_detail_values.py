"""What stands in the places of an event's detail, which is a text that catalogs have from now on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("web", "0012_requests_claimed")]

    operations = [
        migrations.AddField("Event", "values", models.TextField(default="{}")),
    ]
