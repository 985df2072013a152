"""Which server sends a mail, and until when that counts."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('web', '0009_networks'),
    ]

    operations = [
        migrations.AddField(
            model_name='mail',
            name='claimed_by',
            field=models.TextField(default=''),
        ),
        migrations.AddField(
            model_name='mail',
            name='claimed_until',
            field=models.BigIntegerField(default=0),
        ),
    ]
