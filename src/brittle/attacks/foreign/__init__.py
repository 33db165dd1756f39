"""Attacks of other libraries, by their names there: ``foolbox:LinfPGD``. Each is made when it is asked for."""

from brittle.attacks.foreign import adv_lib, art, foolbox, torchattacks
from brittle.attacks.foreign.guest import welcome

LIBRARIES = (foolbox.LIBRARY, art.LIBRARY, torchattacks.LIBRARY, adv_lib.LIBRARY)

for _library in LIBRARIES:
    welcome(_library)
