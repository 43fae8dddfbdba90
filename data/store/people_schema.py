"""The tables of `people_tables`, in words that SQLite and PostgreSQL share.

Passwords are hashes (argon2, made in `annotate`), and of session cookies, tokens and invitations
only SHA-256 is here: whoever reads this cannot sign in with it.
"""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["annotator", "lead", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
VERSION = 1
ENTRANCES = ("people_sessions", "people_tokens", "people_invitations", "people_tries")
"""Tables of what people come in with besides their password; a row there can be taken back."""
TABLES = """
CREATE TABLE people_since(time_ms BIGINT NOT NULL);
CREATE TABLE people(
  id VARCHAR PRIMARY KEY, spelling VARCHAR NOT NULL UNIQUE, name VARCHAR NOT NULL,
  role VARCHAR NOT NULL, active INTEGER NOT NULL, password VARCHAR NOT NULL,
  since_ms BIGINT NOT NULL);
CREATE TABLE people_sessions(
  hash VARCHAR PRIMARY KEY, person VARCHAR NOT NULL, expires_ms BIGINT NOT NULL);
CREATE INDEX people_sessions_person ON people_sessions(person);
CREATE TABLE people_tokens(
  hash VARCHAR PRIMARY KEY, person VARCHAR NOT NULL, since_ms BIGINT NOT NULL);
CREATE INDEX people_tokens_person ON people_tokens(person);
CREATE TABLE people_invitations(
  hash VARCHAR PRIMARY KEY, role VARCHAR NOT NULL, name VARCHAR NOT NULL,
  expires_ms BIGINT NOT NULL);
CREATE TABLE people_tries(subject VARCHAR NOT NULL, time_ms BIGINT NOT NULL);
CREATE INDEX people_tries_subject ON people_tries(subject, time_ms)
"""
