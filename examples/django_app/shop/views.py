"""The shop's views."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from shop.jobs import charge
from shop.models import Order


@csrf_exempt  # an API's endpoint; forms want the token
@require_POST
@transaction.atomic
def order(request: HttpRequest) -> JsonResponse:
    """Take an order, and have it charged.

    ``transaction.on_commit(charge.submit)`` would lose the job of a process that ends between the commit and the submit.
    Submitted before the commit, the job is there whenever the order is.
    """
    number, cents = request.POST["number"], int(request.POST["cents"])
    Order.objects.get_or_create(number=number, defaults={"cents": cents})
    job = charge.options(idempotency_key=f"order-{number}").submit(number)
    return JsonResponse({"job": job.id}, status=202)
