"""Who gets a digest, and mail of them."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('web', '0004_mail'),
    ]

    operations = [
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('every', models.CharField(choices=[('day', 'day'), ('week', 'week'), ('month', 'month')], max_length=16)),
                ('address', models.CharField(max_length=254)),
                ('language', models.CharField(max_length=16)),
                ('zone', models.CharField(max_length=64)),
                ('told', models.BigIntegerField()),
                ('person', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('person__name',),
            },
        ),
        migrations.AlterField(
            model_name='mail',
            name='request',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='mails', to='web.requestedreport'),
        ),
        migrations.AddField(
            model_name='mail',
            name='subscription',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='mails', to='web.subscription'),
        ),
        migrations.AddField(
            model_name='mail',
            name='start',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='mail',
            name='end',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='mail',
            name='planned',
            field=models.BigIntegerField(default=0),
        ),
    ]
