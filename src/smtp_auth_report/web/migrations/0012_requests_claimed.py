"""Of which rows a requested report is, which server makes it and until when that counts, and which host has its file."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("web", "0011_out")]

    operations = [
        migrations.AddField("RequestedReport", "database", models.TextField(default="")),
        migrations.AddField("RequestedReport", "claimed_by", models.TextField(default="")),
        migrations.AddField("RequestedReport", "claimed_until", models.BigIntegerField(default=0)),
        migrations.AddField("RequestedReport", "host", models.TextField(default="")),
    ]
