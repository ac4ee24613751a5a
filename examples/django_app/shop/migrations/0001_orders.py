"""The table of orders."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Make it."""

    initial = True
    operations = [  # noqa: RUF012 - as Django writes it
        migrations.CreateModel(
            "Order",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("number", models.CharField(max_length=20, unique=True)),
                ("cents", models.PositiveIntegerField()),
                ("paid", models.BooleanField(default=False)),
            ],
        )
    ]
