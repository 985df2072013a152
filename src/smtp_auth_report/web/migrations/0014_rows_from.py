"""From when on a requested file has rows, where some of its period had expired."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("web", "0013_detail_values")]

    operations = [
        migrations.AddField("RequestedReport", "rows_from", models.BigIntegerField(default=0)),
    ]
