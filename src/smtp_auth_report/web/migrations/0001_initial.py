"""The first tables: reports that were asked for."""


import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='RequestedReport',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('asked', models.BigIntegerField()),
                ('start', models.BigIntegerField()),
                ('end', models.BigIntegerField()),
                ('zone', models.CharField(max_length=64)),
                ('filters', models.TextField(default='{}')),
                ('format', models.CharField(max_length=16)),
                ('progress', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'In progress'), ('done', 'Ready'), ('failed', 'Failed')], default='waiting', max_length=8)),
                ('done', models.BigIntegerField(default=0)),
                ('total', models.BigIntegerField(default=0)),
                ('size', models.BigIntegerField(default=0)),
                ('failure', models.TextField(default='')),
            ],
            options={
                'ordering': ('-asked',),
            },
        ),
    ]
