"""Mail that was sent or is to be sent: requested reports."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('web', '0003_second_factor'),
    ]

    operations = [
        migrations.CreateModel(
            name='Mail',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('address', models.CharField(max_length=254)),
                ('language', models.CharField(max_length=16)),
                ('state', models.CharField(choices=[('waiting', 'To be sent'), ('under way', 'Being sent'), ('sent', 'Sent'), ('failed', 'Not sent')], default='waiting', max_length=16)),
                ('attempts', models.IntegerField(default=0)),
                ('due', models.BigIntegerField(db_index=True)),
                ('sent', models.BigIntegerField(default=0)),
                ('failure', models.TextField(default='')),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='mails', to='web.requestedreport')),
            ],
            options={
                'ordering': ('due', 'id'),
            },
        ),
    ]
