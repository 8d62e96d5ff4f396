"""The words of the field: every enum and constant that code, SQL and command line share."""

from enum import StrEnum

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
DERIVABLE_LEADS = ("III", "aVR", "aVL", "aVF")

SAMPLING_FREQUENCY = 500.0
"""Hz, of every model input."""
WINDOW_SAMPLES = 5000
"""Samples of every model input: 10 s at 500 Hz."""
WINDOW_S = 10.0

ADULT_YEARS = 18.0
"""The intended use starts here."""

SCORING_VERSION = 1
"""Raised by hand, and only when a risk can move: a reader, a step, a stratum rule."""

ANY_VESSEL = "any_vessel"
"""Key of the any-vessel operating points beside the four tasks."""

DEMONSTRATION_NOTICE = "demonstration model, synthetic training data, not for clinical use"
INTENDED_USE_NOTICE = (
    "A risk enriches the choice of who is looked at; it does not diagnose, "
    "and low does not exclude disease."
)


class Vessel(StrEnum):
    """The tasks, in bundle order."""

    RCA = "RCA"
    LM = "LM"
    LAD = "LAD"
    LCX = "LCX"


class Stratum(StrEnum):
    LOW = "low"
    INTERMEDIATE = "intermediate"
    HIGH = "high"


class Numerics(StrEnum):
    """Numerics class: part of the pipeline identity."""

    FP32 = "fp32"
    BF16 = "bf16"
    INT8 = "int8"


class ItemState(StrEnum):
    DISCOVERED = "discovered"
    """Seen, not yet stable."""
    ADMITTED = "admitted"
    """Stable; its work says the rest."""
    SUPERSEDED = "superseded"
    """Its file changed before it had a result."""
    VANISHED = "vanished"
    IGNORED = "ignored"


class WorkState(StrEnum):
    READY = "ready"
    LEASED = "leased"
    RETRY_WAIT = "retry_wait"
    SCORED = "scored"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"


FINISHED = (WorkState.SCORED, WorkState.REJECTED, WorkState.QUARANTINED, WorkState.DUPLICATE)


class Disposition(StrEnum):
    """What people see of an item; every item has exactly one."""

    WAITING = "waiting"
    SCORED = "scored"
    REJECTED = "rejected"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    VANISHED = "vanished"
    IGNORED = "ignored"


class ResultOutcome(StrEnum):
    SCORED = "scored"
    REJECTED = "rejected"


class BundleRole(StrEnum):
    CHAMPION = "champion"
    CHALLENGER = "challenger"


class ReplayOutcome(StrEnum):
    """What came of computing a result again from its file."""

    IDENTICAL = "identical"
    TOLERANCE = "tolerance"
    """Other last digits, within what the bundle allows for its numerics class; same strata."""
    DIFFERS = "differs"
    GONE = "gone"
    """No copy of its file, or no folder of its bundle, is left to read."""


class ReplayStage(StrEnum):
    """The first stage at which a replay differs, in the order of the path."""

    BYTES = "bytes"
    SIGNAL = "signal"
    PREPROCESSING = "preprocessing"
    NET = "net"
    STRATA = "strata"


class Canary(StrEnum):
    """What became of a run's canary, as `run.canary` says it: the first stage that differs."""

    PASSED = "passed"
    SIGNAL = "differs: signal"
    GATES = "differs: gates"
    PREPROCESSING = "differs: preprocessing"
    NET = "differs: net"
    STRATA = "differs: strata"
    NOT_SENT = "not sent"
    """No golden ECG of the bundle passes the gates of the settings, or memory was too short."""

    @property
    def stage(self) -> str | None:
        """Where it differs; None where it does not."""
        return self.partition(": ")[2] or None


class ExitCode:
    """Exit codes of every command."""

    DONE = 0
    ATTENTION = 1
    USAGE = 2
    LOCKED = 3
    UNFIT = 4
    INTERNAL = 70
    INTERRUPTED = 130
    """As shells report a stop by hand (SIGINT) or by the service manager (SIGTERM)."""


class ReasonClass(StrEnum):
    FORMAT = "format"
    SIGNAL = "signal"
    IDENTITY = "identity"
    ELIGIBILITY = "eligibility"
    ENVIRONMENT = "environment"
    INTERNAL = "internal"


class ReasonCode(StrEnum):
    """The closed list of reasons; `reasons.REASONS` has the class and the advice of each."""

    # A format or variant that is not read.
    FORMAT_UNKNOWN = "format_unknown"
    WFDB_FORMAT_RARE = "wfdb_format_rare"
    XML_VARIANT_UNSUPPORTED = "xml_variant_unsupported"
    DICOM_VARIANT_UNSUPPORTED = "dicom_variant_unsupported"
    SCP_VARIANT_UNSUPPORTED = "scp_variant_unsupported"
    EDF_VARIANT_UNSUPPORTED = "edf_variant_unsupported"
    FORMAT_ISHNE = "format_ishne"
    FORMAT_MFER = "format_mfer"
    FORMAT_BDF = "format_bdf"
    FORMAT_PDF = "format_pdf"
    FORMAT_VENDOR_XML = "format_vendor_xml"
    FORMAT_VENDOR_BINARY = "format_vendor_binary"
    FORMAT_TEXT_EXPORT = "format_text_export"

    # Samples not trustworthy.
    INCOMPLETE = "incomplete"
    HEADER_INVALID = "header_invalid"
    SIZE_MISMATCH = "size_mismatch"
    SAMPLE_DATA_DAMAGED = "sample_data_damaged"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    INITIAL_VALUE_MISMATCH = "initial_value_mismatch"
    UNIT_UNKNOWN = "unit_unknown"
    GAIN_INVALID = "gain_invalid"
    SAMPLING_FREQUENCY_INVALID = "sampling_frequency_invalid"
    LEAD_DUPLICATED = "lead_duplicated"
    LEAD_LENGTHS_DIFFER = "lead_lengths_differ"
    SAMPLE_OFFSET_UNSUPPORTED = "sample_offset_unsupported"
    XML_INVALID = "xml_invalid"
    XML_ENTITY = "xml_entity"
    XML_LIMIT = "xml_limit"
    TEXT_ENCODING_INVALID = "text_encoding_invalid"
    EXPANSION_LIMIT = "expansion_limit"
    READER_NOT_INSTALLED = "reader_not_installed"
    READER_CRASHED = "reader_crashed"
    READER_TIMEOUT = "reader_timeout"
    READER_MEMORY = "reader_memory"
    RESULT_NOT_FINITE = "result_not_finite"

    # Samples read with certainty, but not fit to be scored.
    LEAD_MISSING = "lead_missing"
    NO_RHYTHM_WAVEFORM = "no_rhythm_waveform"
    TOO_SHORT = "too_short"
    INVALID_SAMPLES = "invalid_samples"
    LEAD_OFF = "lead_off"
    LEAD_FLAT = "lead_flat"
    AMPLITUDE_IMPLAUSIBLE = "amplitude_implausible"
    NOT_A_RHYTHM_STRIP = "not_a_rhythm_strip"

    # Flags that by default refuse nothing.
    LONG_RECORD = "long_record"
    CHECKSUM_ABSENT = "checksum_absent"
    ENCODING_REPAIRED = "encoding_repaired"
    AECG_INCREMENT_REPAIRED = "aecg_increment_repaired"
    UNIT_SUSPECTED = "unit_suspected"
    LIMB_LEADS_INCONSISTENT = "limb_leads_inconsistent"
    LEADS_NEARLY_EQUAL = "leads_nearly_equal"
    LEAD_SATURATED = "lead_saturated"
    POWERLINE_NOISE = "powerline_noise"
    BASELINE_WANDER = "baseline_wander"
    MUSCLE_NOISE = "muscle_noise"
    SNR_LOW = "snr_low"
    HEART_RATE_IMPLAUSIBLE = "heart_rate_implausible"
    SAMPLING_FREQUENCY_SUSPECTED = "sampling_frequency_suspected"
    AGE_UNDER_18 = "age_under_18"
    PACED = "paced"

    # Which ECG it is.
    SAME_BYTES = "same_bytes"
    SAME_ACQUISITION = "same_acquisition"
    FILE_CHANGED = "file_changed"
    IDENTITY_CONFLICT = "identity_conflict"
    PATIENT_CORRECTED = "patient_corrected"

    # Where it lies, and the machine around it.
    NEW = "new"
    GONE = "gone"
    SOURCE_UNAVAILABLE = "source_unavailable"
    NOT_REGULAR = "not_regular"
    PATH_OUTSIDE_ROOT = "path_outside_root"
    FILE_TOO_LARGE = "file_too_large"
    CHANGED_WHILE_READING = "changed_while_reading"
    READ_FAILED = "read_failed"
    ARCHIVE_FAILED = "archive_failed"
    OUT_OF_MEMORY = "out_of_memory"
    CRASH_LOOP = "crash_loop"
    INTERRUPTED = "interrupted"
    OPERATOR = "operator"

    # Set-up.
    SETTINGS_INVALID = "settings_invalid"
    DATABASE_MISSING = "database_missing"
    DATABASE_UNAVAILABLE = "database_unavailable"
    DATABASE_REVISION = "database_revision"
    SOURCE_QUERY_INVALID = "source_query_invalid"
    SOURCE_ROLE_WRITES = "source_role_writes"
    SITE_KEY_MISSING = "site_key_missing"
    SITE_KEY_PERMISSIONS = "site_key_permissions"
    BUNDLE_INVALID = "bundle_invalid"
    BUNDLE_DIGEST = "bundle_digest"
    BUNDLE_MISSING = "bundle_missing"
    BUNDLE_NOT_ACTIVE = "bundle_not_active"
    BUNDLE_NOT_CLINICAL = "bundle_not_clinical"
    BUNDLE_PINNED_DIGEST = "bundle_pinned_digest"
    BUNDLE_GOLDEN = "bundle_golden"
    BUNDLE_PRECISION = "bundle_precision"
    RUNTIME_MISSING = "runtime_missing"
    PRECISION_MISMATCH = "precision_mismatch"
    CONVERSION_FAILED = "conversion_failed"
    CANARY_DIFFERS = "canary_differs"
    CUTS_INVERTED = "cuts_inverted"
    CUTS_MISSING = "cuts_missing"
    CHECKPOINT_INVALID = "checkpoint_invalid"
    USE_BN_CONTRADICTED = "use_bn_contradicted"
    RUN_LOCKED = "run_locked"
    LOCK_LOST = "lock_lost"
    SQLITE_ON_NETWORK_FS = "sqlite_on_network_fs"
    DISK_FULL = "disk_full"
    RECORD_UNKNOWN = "record_unknown"
    STATEMENT_INVALID = "statement_invalid"
    STATEMENT_REFUSED = "statement_refused"
    STATEMENT_TOO_SLOW = "statement_too_slow"
    MANIFEST_INVALID = "manifest_invalid"
    RUN_FOLDER_UNFIT = "run_folder_unfit"
    OUTPUT_UNWRITABLE = "output_unwritable"
    EXPORT_FOLDER_UNFIT = "export_folder_unfit"
    PATIENT_MERGE_REFUSED = "patient_merge_refused"
    LEDGER_UNBALANCED = "ledger_unbalanced"
    NONDETERMINISTIC = "nondeterministic"
    INTERNAL_FAULT = "internal_fault"


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
