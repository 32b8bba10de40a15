"""The server's root: from settings to a process that listens.

Law: it has no port and no record of anybody before everything that can be refused has been; it ends when it is told to,
within ten seconds, and gives back what it held.
"""
