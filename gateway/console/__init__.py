"""The console: pages on the admin address, for people who want to know what their agents did and why.

It only reads; what its buttons change goes through the admin API, by the same gate. Pages are made here (Jinja2), live
parts by htmx; nothing is loaded from anywhere else. While nobody looks, a call pays nothing for it.
"""
