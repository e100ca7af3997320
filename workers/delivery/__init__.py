"""How an effect leaves the house: by mail, to the application, to analytics, or into a folder on a developer's machine.

Each channel is chosen once, from the settings, by ``senders.build``:

=============  ============================  =============================  ======================
kinds          with its setting              development, without it        production, without it
=============  ============================  =============================  ======================
``mail.*``     ``SMTP_URL``: an SMTP server  a ``.eml`` file in the outbox  off
``notify.*``   ``NOTIFY_URL``: signed POST   a ``.json`` file               off
``analytics``  ``ANALYTICS_URL``: POST       a ``.json`` file               off
=============  ============================  =============================  ======================

Off means that an installation does without this channel: its effects are settled as ``sent``, and their ``last_error``
says "nothing was sent" and why. So is a mail for a user without an address. Neither can be repaired by trying again,
and a dead letter for each order would hide the ones that can.
"""
