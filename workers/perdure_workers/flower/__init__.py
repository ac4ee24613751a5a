"""Flower with perdure's pages: Overview, Jobs, Dead letters, Breakers and Workers, beside those of stock Flower.

A page asks the ledger for facts in a thread (``facts.py``, ``page.py``), renders them on the server, and is kept up to date
by one stream (``stream.py``). Every write goes through one table of actions (``actions.py``), for forms and the JSON API.
"""
