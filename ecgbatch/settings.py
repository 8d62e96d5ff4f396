"""One TOML file over the packaged defaults, the environment over both; unknown keys are errors."""

import os
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecgbatch.errors import SetupFault
from ecgbatch.resources import folder
from ecgbatch.terms import Numerics, ReasonCode

ENVIRONMENT_PREFIX = "ECGBATCH_"
_NOT_SETTINGS = "ECGBATCH_TEST_"
_PATHS = (
    ("database", "url_file"),
    ("site", "key_file"),
    ("source", "folder"),
    ("bundle", "folder"),
)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Database(_Table):
    url: str = Field(repr=False)
    url_file: str = Field(repr=False)


class Site(_Table):
    key_file: str
    authority: str
    placeholders: tuple[str, ...] = Field(strict=False)
    time_zone: str


class Source(_Table):
    folder: str = Field(repr=False)
    name: str


class Stability(_Table):
    settle_s: float = Field(ge=0)
    grace_s: float = Field(ge=0)


class Limits(_Table):
    recording_bytes: int = Field(gt=0)


class Isolation(_Table):
    """What the reader process may use, and the readers of other packages in it."""

    memory_bytes: int = Field(ge=256 * 1024 * 1024)
    seconds: float = Field(gt=0)
    plug_ins: tuple[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")], ...] = Field(strict=False)


class BundleChoice(_Table):
    folder: str
    digest: str = Field(pattern=r"^([0-9a-f]{64})?$")
    allow_demonstration: bool


class Scoring(_Table):
    runtime: Literal["torch"]
    precision: Numerics = Field(strict=False)
    threads: int = Field(ge=0)


class Work(_Table):
    claim: int = Field(ge=1, le=512)
    lease_s: float = Field(gt=0)


class Switch(_Table):
    """A check without a number."""

    refuses: bool


class Limit(Switch):
    """A check against a limit, in the check's own unit."""

    limit: float = Field(gt=0)


class Band(Switch):
    """A check against a lower and an upper bound, in the check's own unit."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must lie below high")
        return self


class Quality(_Table):
    """The gates, one table each; the field name is the finding's check name."""

    lead_missing: Switch
    too_short: Limit
    invalid_samples: Switch
    lead_off: Switch
    amplitude: Limit
    flat: Limit
    constant_run: Limit
    single_beat: Limit
    calibration: Limit
    unit_suspected: Limit
    limb_leads: Limit
    leads_nearly_equal: Limit
    saturation: Limit
    powerline: Limit
    wander: Limit
    muscle_noise: Limit
    snr: Limit
    heart_rate: Band
    sampling_frequency: Band
    long_record: Limit
    aecg_increment: Switch

    @model_validator(mode="after")
    def _what_scoring_needs(self) -> Self:
        needed = (self.lead_missing, self.too_short, self.invalid_samples)
        if not all(check.refuses for check in needed):
            raise ValueError("lead_missing, too_short and invalid_samples always refuse")
        return self


class Eligibility(_Table):
    age: Switch
    paced: Switch


class Log(_Table):
    level: Literal["debug", "info", "warning", "error"]


class Settings(_Table):
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
        if self.database.url:
            return self.database.url
        if not self.database.url_file:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, "database.url is empty")
        path = Path(self.database.url_file)
        try:
            if path.stat().st_mode & 0o077:
                raise SetupFault(ReasonCode.SETTINGS_INVALID, "database.url_file needs mode 0600")
            return path.read_text(encoding="utf-8").splitlines()[0].strip()
        except (OSError, UnicodeDecodeError, IndexError):
            raise SetupFault(
                ReasonCode.SETTINGS_INVALID, "database.url_file cannot be read"
            ) from None


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
