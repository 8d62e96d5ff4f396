"""One TOML file over the packaged defaults, the environment over both; unknown keys are errors."""

import os
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ecgbatch.errors import SetupFault
from ecgbatch.resources import folder
from ecgbatch.settings_tables import (
    Alerts,
    Band,
    BundleChoice,
    Database,
    Eligibility,
    Isolation,
    Limit,
    Limits,
    Log,
    Quality,
    Scoring,
    Service,
    Site,
    Source,
    Stability,
    Switch,
    Table,
    Verification,
    Work,
)
from ecgbatch.terms import ReasonCode

__all__ = [
    "Alerts",
    "Band",
    "BundleChoice",
    "Database",
    "Eligibility",
    "Isolation",
    "Limit",
    "Limits",
    "Log",
    "Quality",
    "Scoring",
    "Service",
    "Settings",
    "Site",
    "Source",
    "Stability",
    "Switch",
    "Verification",
    "Work",
    "load_settings",
    "secret",
]

ENVIRONMENT_PREFIX = "ECGBATCH_"
_NOT_SETTINGS = "ECGBATCH_TEST_"
_PATHS = (
    ("database", "url_file"),
    ("database", "tls_root"),
    ("site", "key_file"),
    ("source", "folder"),
    ("source", "archive"),
    ("source", "url_file"),
    ("source", "path_root"),
    ("bundle", "folder"),
    ("alerts", "webhook_file"),
    ("alerts", "webhook_token_file"),
    ("alerts", "smtp_tls_root"),
    ("alerts", "smtp_password_file"),
)


class Settings(Table):
    """The resolved settings; frozen. `gate_digest` is part of the pipeline's identity."""

    database: Database
    site: Site
    source: Source
    stability: Stability
    limits: Limits
    isolation: Isolation
    bundle: BundleChoice
    scoring: Scoring
    work: Work
    service: Service
    alerts: Alerts
    verification: Verification
    quality: Quality
    eligibility: Eligibility
    log: Log

    @property
    def gate_digest(self) -> str:
        """SHA-256 of the gate and time-zone settings: what may change an outcome or a time."""
        parts = (
            self.quality.model_dump_json(),
            self.eligibility.model_dump_json(),
            self.site.time_zone,
        )
        return sha256("\n".join(parts).encode()).hexdigest()

    def database_url(self) -> str:
        """The URL from `database.url`, else the first line of `database.url_file`.

        Raises:
            SetupFault: neither is set, or the file is missing or open to others.
        """
        return _url("database", self.database.url, self.database.url_file)

    def source_url(self) -> str:
        """The same of a database source, from `source.url` or `source.url_file`.

        Raises:
            SetupFault: neither is set, or the file is missing or open to others.
        """
        return _url("source", self.source.url, self.source.url_file)


def _url(table: str, url: str, file: str) -> str:
    if url:
        return url
    if not file:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"{table}.url is empty")
    return secret(file, f"{table}.url_file")


def secret(path: str, key: str) -> str:
    """The first line of a file that only its owner can read.

    Raises:
        SetupFault: it is missing, empty or open to others; the detail names the key.
    """
    try:
        if Path(path).stat().st_mode & 0o077:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, f"{key} needs mode 0600")
        return Path(path).read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, UnicodeDecodeError, IndexError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"{key} cannot be read") from None


def load_settings(
    path: Path | None = None,
    overrides: Mapping[str, Mapping[str, object]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Packaged defaults, then the file, then the environment, then `overrides` (command line).

    Raises:
        SetupFault: a missing or broken file, an unknown or ill-typed key; the detail names the key.
    """
    values = _read_toml(folder("config") / "default.toml")
    if path is not None:
        _overlay(values, _absolute_paths(_read_toml(path), path.parent))
    _overlay(values, _from_environment(os.environ if environment is None else environment))
    _overlay(values, overrides or {})
    try:
        return Settings.model_validate(values)
    except ValidationError as fault:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, _first_error(fault)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the settings file does not exist") from None
    except OSError:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the settings file cannot be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the settings file is not TOML") from None


def _overlay(values: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _overlay(values[key], value)
        else:
            values[key] = value


def _absolute_paths(values: dict[str, Any], base: Path) -> dict[str, Any]:
    for table, key in _PATHS:
        stated = values.get(table)
        if isinstance(stated, dict) and isinstance(stated.get(key), str) and stated[key]:
            stated[key] = os.path.normpath(base.absolute() / stated[key])
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name.startswith(_NOT_SETTINGS):
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if len(keys) < 2:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, f"unknown environment variable {name}")
        table = values
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = _typed(text, keys, name)
    return values


def _typed(text: str, keys: list[str], name: str) -> object:
    """Text for a text field, else a TOML value; an unknown name is refused here."""
    model: Any = Settings
    for key in keys:
        fields = getattr(model, "model_fields", {})
        if key not in fields:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, f"unknown environment variable {name}")
        model = fields[key].annotation
    if isinstance(model, type) and issubclass(model, str):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _first_error(fault: ValidationError) -> str:
    error = fault.errors(include_url=False, include_input=False, include_context=False)[0]
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}"
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}"
