"""Doubles: stand-ins for the services that the kit talks to, good ones and bad ones."""
