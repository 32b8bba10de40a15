"""Numbered SQL scripts: `0001_initial.sql`, `0002_….sql`. One that has been released is never changed."""
