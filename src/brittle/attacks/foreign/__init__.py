"""Attacks of other libraries, by their names there: ``foolbox:LinfPGD``. Each is made when it is asked for."""

from brittle.attacks.foreign import adv_lib, art, foolbox, torchattacks
from brittle.attacks.foreign.guest import welcome

for _library in (foolbox.LIBRARY, art.LIBRARY, torchattacks.LIBRARY, adv_lib.LIBRARY):
    welcome(_library)
