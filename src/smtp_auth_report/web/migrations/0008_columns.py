"""Columns of a requested file."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('web', '0007_arrangement'),
    ]

    operations = [
        migrations.AddField(
            model_name='requestedreport',
            name='columns',
            field=models.JSONField(default=list),
        ),
    ]
