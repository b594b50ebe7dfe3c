"""A real Asterisk in a folder with a scripted phone network: for demos, tests, rehearsals. Not for service."""

from binding_ivr.lab.asterisk.instance import Instance
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.lab import Lab
from binding_ivr.lab.phones.handset import Handset, PhoneCall
from binding_ivr.lab.phones.phone import Phone
from binding_ivr.lab.phones.softphone import Softphone

__all__ = ["Handset", "Instance", "Lab", "LabError", "Phone", "PhoneCall", "Softphone"]
