"""The tables of the settings: one frozen class each, unknown keys refused."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ecgbatch.terms import Numerics

_ADDRESS = r"^[^\s@<>,;:\x22]+@[^\s@<>,;:\x22]+$"


class Table(BaseModel):
    # Built when first used, so that a table is not built once alone and once inside its settings.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
    )


class Database(Table):
    url: str = Field(repr=False)
    url_file: str = Field(repr=False)
    schema_name: str = Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    tls: Literal["off", "verify-full"]
    tls_root: str


class Site(Table):
    pseudonymise: bool
    keep_identifiers: bool
    key_file: str
    authority: str
    placeholders: tuple[str, ...] = Field(strict=False)
    time_zone: str

    @model_validator(mode="after")
    def _keeps_what_is_hidden(self) -> Self:
        if self.keep_identifiers and not self.pseudonymise:
            raise ValueError("keep_identifiers is for pseudonyms; pseudonymise is false")
        return self


Pattern = Annotated[str, Field(pattern=r"^[^/](.*[^/])?$")]


class Source(Table):
    kind: str = Field(pattern=r"^[a-z_]+$")
    folder: str = Field(repr=False)
    name: str
    include: tuple[Pattern, ...] = Field(strict=False)
    exclude: tuple[Pattern, ...] = Field(strict=False)
    done_suffix: str = Field(pattern=r"^(\.[\w.-]{1,30})?$")
    archive: str = Field(repr=False)
    archive_mode: Literal["copy", "move"]
    url: str = Field(repr=False)
    url_file: str = Field(repr=False)
    query: str = Field(repr=False)
    overlap_s: float = Field(ge=0)
    path_root: str = Field(repr=False)

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        """A setting that would have no effect is a mistake."""
        of_folder = (self.folder, self.include, self.exclude, self.done_suffix, self.archive)
        of_database = (self.url, self.url_file, self.query, self.path_root)
        if self.kind == "folder" and any(of_database):
            raise ValueError("url, url_file, query and path_root need kind = database")
        if self.kind == "database" and any(of_folder):
            raise ValueError("folder, patterns, markers and archive need kind = folder")
        return self


class Stability(Table):
    settle_s: float = Field(ge=0)
    grace_s: float = Field(ge=0)
    unreadable_s: float = Field(gt=0)


class Limits(Table):
    recording_bytes: int = Field(gt=0)


class Isolation(Table):
    """What the reader process may use, and the readers of other packages in it."""

    memory_bytes: int = Field(ge=512 * 1024 * 1024)
    seconds: float = Field(gt=0)
    plug_ins: tuple[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")], ...] = Field(strict=False)


class BundleChoice(Table):
    folder: str
    digest: str = Field(pattern=r"^([0-9a-f]{64})?$")
    allow_demonstration: bool


class Scoring(Table):
    """What computes, and with how much of the machine; 0 is what fits it."""

    runtime: Literal["auto", "torch", "openvino", "onnx", "cuda"]
    precision: Numerics = Field(strict=False)
    cores: int = Field(ge=0, le=1024)
    batch: int = Field(ge=0, le=512)
    streams: int = Field(ge=0, le=256)
    threads: int = Field(ge=0, le=256)


class Work(Table):
    decoders: int = Field(ge=0, le=64)
    write: int = Field(ge=1, le=512)
    claim: int = Field(ge=1, le=512)
    lease_s: float = Field(gt=0)
    expire_s: float = Field(gt=0)
    idle_s: float = Field(gt=0)
    database_wait_s: float = Field(ge=0)
    max_losses: int = Field(ge=1, le=100)


class Service(Table):
    """`serve`: when to scan, how many workers, where to be asked."""

    schedule: str
    interval_s: int = Field(ge=1, le=31 * 86_400)
    time_zone: str
    workers: int = Field(ge=1, le=64)
    stop_s: float = Field(gt=0)
    host: str
    port: int = Field(ge=1, le=65_535)


class Alerts(Table):
    """Where alarms go, and what raises them; a limit of 0 switches its alarm off."""

    webhook: str = Field(repr=False, pattern=r"^(https?://\S+)?$")
    webhook_file: str = Field(repr=False)
    webhook_token_file: str = Field(repr=False)
    mail_to: tuple[Annotated[str, Field(pattern=_ADDRESS)], ...] = Field(strict=False)
    mail_from: str = Field(pattern=f"{_ADDRESS}|^$")
    smtp_host: str
    smtp_port: int = Field(ge=1, le=65_535)
    smtp_tls: Literal["starttls", "off"]
    smtp_tls_root: str
    smtp_user: str
    smtp_password_file: str = Field(repr=False)
    repeat_s: float = Field(gt=0)
    database_away_s: float = Field(ge=0)
    scan_silence_s: float = Field(ge=0)
    source_silence_s: float = Field(ge=0)
    waiting_s: float = Field(ge=0)
    failures: int = Field(ge=0)
    halted_s: float = Field(ge=0)
    free_bytes: int = Field(ge=0)

    @model_validator(mode="after")
    def _a_way_for_mail(self) -> Self:
        if self.mail_to and not (self.smtp_host and self.mail_from):
            raise ValueError("mail_to needs smtp_host and mail_from")
        if self.smtp_host and not self.mail_to:
            raise ValueError("smtp_host without mail_to sends to nobody")
        if self.webhook and self.webhook_file:
            raise ValueError("webhook and webhook_file exclude each other")
        if self.webhook_token_file and not (self.webhook or self.webhook_file):
            raise ValueError("webhook_token_file needs webhook or webhook_file")
        if self.smtp_user and self.smtp_tls == "off":
            raise ValueError("a password is sent over TLS alone: smtp_tls = starttls")
        if bool(self.smtp_user) != bool(self.smtp_password_file):
            raise ValueError("smtp_user and smtp_password_file go together")
        return self


class Verification(Table):
    """`serve`: how many results it computes again, and when."""

    sample: int = Field(ge=0, le=100_000)
    schedule: str
    interval_s: int = Field(ge=1, le=31 * 86_400)


class Switch(Table):
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


class Quality(Table):
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


class Eligibility(Table):
    age: Switch
    paced: Switch


class Log(Table):
    level: Literal["debug", "info", "warning", "error"]
