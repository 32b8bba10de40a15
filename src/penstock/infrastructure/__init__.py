"""What runs are executed on, and how it is ended: processes of this machine."""
