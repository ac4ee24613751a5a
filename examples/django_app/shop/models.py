"""The shop's models."""

from django.db import models


class Order(models.Model):
    """An order."""

    number = models.CharField(max_length=20, unique=True)
    cents = models.PositiveIntegerField()
    paid = models.BooleanField(default=False)
