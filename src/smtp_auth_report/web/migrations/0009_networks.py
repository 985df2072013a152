"""Networks that refusals count for."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('web', '0008_columns'),
    ]

    operations = [
        migrations.AddField(
            model_name='event',
            name='network',
            field=models.CharField(db_index=True, default='', max_length=64),
        ),
        migrations.AlterField(
            model_name='event',
            name='address',
            field=models.CharField(default='', max_length=64),
        ),
    ]
