"""Who may sign in, their tokens, what they did, and whose requests are."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('web', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Person',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('name', models.CharField(max_length=254, unique=True)),
                ('role', models.CharField(choices=[('administrator', 'administrator'), ('reader', 'reader'), ('domains', 'domains')], max_length=16)),
                ('domains', models.TextField(default='[]')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('time', models.BigIntegerField(db_index=True)),
                ('deed', models.CharField(choices=[('signed in', 'Signed in'), ('signed out', 'Signed out'), ('refused', 'Sign-in refused'), ('held up', 'Sign-in held up after too many refusals'), ('exported', 'Rows exported'), ('changed', 'People changed')], max_length=16)),
                ('name', models.CharField(default='', max_length=254)),
                ('name_key', models.CharField(db_index=True, default='', max_length=16)),
                ('address', models.CharField(db_index=True, default='', max_length=64)),
                ('detail', models.CharField(default='', max_length=500)),
            ],
            options={
                'ordering': ('-time', '-id'),
            },
        ),
        migrations.AlterField(
            model_name='requestedreport',
            name='progress',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('running', 'In progress'), ('done', 'Ready'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='waiting', max_length=16),
        ),
        migrations.AddField(
            model_name='requestedreport',
            name='person',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='Token',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('label', models.CharField(max_length=64)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('made', models.BigIntegerField()),
                ('used', models.BigIntegerField(default=0)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-made',),
                'constraints': [models.UniqueConstraint(fields=('person', 'label'), name='one_token_of_a_label')],
            },
        ),
    ]
