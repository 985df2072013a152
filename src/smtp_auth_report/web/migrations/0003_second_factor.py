"""Second factors of people: the salt of each, the newest code that was accepted, and recovery codes; who came by groups."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('web', '0002_people'),
    ]

    operations = [
        migrations.AddField(
            model_name='person',
            name='by_groups',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='person',
            name='factor_salt',
            field=models.CharField(default='', max_length=32),
        ),
        migrations.AddField(
            model_name='person',
            name='factor_step',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='event',
            name='deed',
            field=models.CharField(choices=[('signed in', 'Signed in'), ('signed out', 'Signed out'), ('refused', 'Sign-in refused'), ('code refused', 'Code refused after the right password'), ('held up', 'Sign-in held up after too many refusals'), ('exported', 'Rows exported'), ('changed', 'People changed')], max_length=16),
        ),
        migrations.CreateModel(
            name='RecoveryCode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
            ],
        ),
    ]
