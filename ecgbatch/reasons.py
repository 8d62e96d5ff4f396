"""What each reason code means for whoever has to act: its class and one sentence."""

from dataclasses import dataclass
from typing import Literal

from ecgbatch.terms import ReasonClass, ReasonCode


@dataclass(frozen=True, slots=True)
class Reason:
    """Class of a reason and one sentence that says what to do."""

    reason_class: ReasonClass
    advice: str


_F, _S, _I, _L, _E, _X = (
    ReasonClass.FORMAT,
    ReasonClass.SIGNAL,
    ReasonClass.IDENTITY,
    ReasonClass.ELIGIBILITY,
    ReasonClass.ENVIRONMENT,
    ReasonClass.INTERNAL,
)
_C = ReasonCode

REASONS: dict[ReasonCode, Reason] = {
    _C.FORMAT_UNKNOWN: Reason(
        _F,
        "No reader recognises the content; export it in a format that `ecgbatch formats` lists, or acknowledge it.",
    ),
    _C.WFDB_FORMAT_RARE: Reason(
        _F,
        "Convert the record to WFDB format 16 in one segment (for example with xform or wrsamp).",
    ),
    _C.XML_VARIANT_UNSUPPORTED: Reason(
        _F,
        "The XML is of a known vendor but of a variant that is not read; export it in another one.",
    ),
    _C.DICOM_VARIANT_UNSUPPORTED: Reason(
        _F,
        "The DICOM file holds no waveform or a coding of it that is not read; export the ECG as 16-bit waveform.",
    ),
    _C.SCP_VARIANT_UNSUPPORTED: Reason(
        _F,
        "The SCP-ECG file is compressed with a reference beat, bimodally or by several tables; export it without.",
    ),
    _C.EDF_VARIANT_UNSUPPORTED: Reason(
        _F, "The EDF+ file has gaps (EDF+D); export a continuous recording."
    ),
    _C.FORMAT_ISHNE: Reason(
        _F, "An ISHNE Holter recording of hours; export the resting 12-lead ECG as DICOM or XML."
    ),
    _C.FORMAT_MFER: Reason(
        _F, "MFER is not read; export the 12-lead ECG as DICOM, HL7 aECG or SCP-ECG."
    ),
    _C.FORMAT_BDF: Reason(
        _F, "BDF (24 bit) is not read; export the 12-lead ECG as EDF+, DICOM or WFDB."
    ),
    _C.FORMAT_PDF: Reason(
        _F, "A PDF is a picture without samples; export the waveform as DICOM, XML or SCP-ECG."
    ),
    _C.FORMAT_VENDOR_XML: Reason(
        _F,
        "The XML of this vendor's system is known but not read; export HL7 aECG, DICOM or MUSE XML.",
    ),
    _C.FORMAT_VENDOR_BINARY: Reason(
        _F, "A binary file of a vendor or program; export the ECG as DICOM, HL7 aECG or SCP-ECG."
    ),
    _C.FORMAT_TEXT_EXPORT: Reason(
        _F, "A text export loses what says who and when; export the ECG as XML or DICOM."
    ),
    _C.INCOMPLETE: Reason(
        _S,
        "The file is empty, cut off or lacks a signal file; let the copy finish or export it again.",
    ),
    _C.HEADER_INVALID: Reason(
        _S, "The header breaks the grammar of its format; export the ECG again from its system."
    ),
    _C.SIZE_MISMATCH: Reason(
        _S, "The samples are fewer or more than the header declares; export the ECG again."
    ),
    _C.SAMPLE_DATA_DAMAGED: Reason(
        _S, "The sample data is damaged (its encoding or CRC does not fit); export the ECG again."
    ),
    _C.CHECKSUM_MISMATCH: Reason(
        _S,
        "A checksum does not fit: samples and header do not belong together, or a part of the file is damaged; export it again.",
    ),
    _C.INITIAL_VALUE_MISMATCH: Reason(
        _S,
        "The first sample differs from the header's; header and signal file may not belong together.",
    ),
    _C.UNIT_UNKNOWN: Reason(
        _S, "State the unit (nV, uV, mV or V) in the file; a unit is never guessed."
    ),
    _C.GAIN_INVALID: Reason(
        _S, "State a finite gain above zero for each lead in the file; a gain is never guessed."
    ),
    _C.SAMPLING_FREQUENCY_INVALID: Reason(
        _S, "State a sampling frequency of 50 to 20000 Hz in the file; it is never guessed."
    ),
    _C.LEAD_DUPLICATED: Reason(
        _S, "A lead is named twice; correct the lead names in the exporting system."
    ),
    _C.LEAD_LENGTHS_DIFFER: Reason(_S, "The leads are of different lengths; export the ECG again."),
    _C.SAMPLE_OFFSET_UNSUPPORTED: Reason(
        _S, "The leads do not start together (a time or sample offset is set); export them aligned."
    ),
    _C.XML_INVALID: Reason(_S, "The XML is not well formed; export the ECG again."),
    _C.XML_ENTITY: Reason(
        _S,
        "The XML declares entities or an internal DTD, which no ECG system needs; check where it comes from.",
    ),
    _C.XML_LIMIT: Reason(
        _S, "The XML is deeper or larger than any ECG; check where it comes from."
    ),
    _C.TEXT_ENCODING_INVALID: Reason(
        _S, "The text is in none of the supported encodings; export it as UTF-8."
    ),
    _C.EXPANSION_LIMIT: Reason(
        _S, "The compressed file expands beyond any ECG; check where it comes from."
    ),
    _C.READER_NOT_INSTALLED: Reason(
        _E,
        'The library of this format is missing; install it with pip install "ecgbatch[formats]" and retry.',
    ),
    _C.READER_CRASHED: Reason(
        _X, "The reader failed on this file; keep the file and report it with the reader's name."
    ),
    _C.READER_TIMEOUT: Reason(
        _X,
        "The reader needed more than isolation.seconds; keep the file and report it, then retry.",
    ),
    _C.READER_MEMORY: Reason(
        _X, "The reader needed more than isolation.memory_bytes; check where the file comes from."
    ),
    _C.RESULT_NOT_FINITE: Reason(
        _X, "The net gave a number that is not finite; keep the file and run `ecgbatch doctor`."
    ),
    _C.LEAD_MISSING: Reason(
        _S, "All twelve leads (or I, II and V1 to V6) are needed; export the full 12-lead ECG."
    ),
    _C.NO_RHYTHM_WAVEFORM: Reason(
        _S, "The file holds no rhythm strip, only a median beat or none; export the full ECG."
    ),
    _C.TOO_SHORT: Reason(_S, "At least 9.8 s are needed; export the full 10 s."),
    _C.INVALID_SAMPLES: Reason(
        _S, "Samples are marked as invalid by the file itself; record the ECG again."
    ),
    _C.LEAD_OFF: Reason(_S, "The device reports a lead as disconnected; record the ECG again."),
    _C.LEAD_FLAT: Reason(_S, "A lead is flat or disconnected; record the ECG again."),
    _C.AMPLITUDE_IMPLAUSIBLE: Reason(
        _S,
        "Amplitudes beyond 10 mV suggest a wrong gain or unit; correct it in the exporting system.",
    ),
    _C.NOT_A_RHYTHM_STRIP: Reason(
        _S,
        "The samples are a median beat or a calibration pulse, not a rhythm strip; export the full ECG.",
    ),
    _C.LONG_RECORD: Reason(_S, "Longer than 60 s: the first 10 s were used."),
    _C.CHECKSUM_ABSENT: Reason(
        _S, "The file carries no checksum or CRC, so damage to its samples cannot be seen."
    ),
    _C.ENCODING_REPAIRED: Reason(
        _S,
        "The text was not in the declared encoding and was read by the fallback; correct the export.",
    ),
    _C.AECG_INCREMENT_REPAIRED: Reason(
        _S,
        "The aECG states its increment in seconds but means milliseconds, and was read so; correct the export.",
    ),
    _C.UNIT_SUSPECTED: Reason(
        _S,
        "Typical peaks are 5, 200 or 1000 times too large, as after a usual unit error; check gain and unit; nothing was rescaled.",
    ),
    _C.LIMB_LEADS_INCONSISTENT: Reason(
        _S,
        "The limb leads contradict Einthoven's and Goldberger's equations; check lead order and gains.",
    ),
    _C.LEADS_NEARLY_EQUAL: Reason(
        _S, "Two leads are nearly equal; check the electrodes and the export."
    ),
    _C.LEAD_SATURATED: Reason(
        _S,
        "A lead rests at its highest or lowest value as when clipped; check the electrode and the range of the recorder.",
    ),
    _C.POWERLINE_NOISE: Reason(
        _S,
        "A lead carries mains hum at 50 or 60 Hz; check electrodes, cables and the notch filter.",
    ),
    _C.BASELINE_WANDER: Reason(
        _S, "Most of a lead's power is baseline drift; check electrodes, breathing and movement."
    ),
    _C.MUSCLE_NOISE: Reason(
        _S,
        "A lead carries much noise above 35 Hz; let the patient rest and record again if in doubt.",
    ),
    _C.SNR_LOW: Reason(
        _S, "The beats hardly resemble each other; look at the ECG before using its risk."
    ),
    _C.HEART_RATE_IMPLAUSIBLE: Reason(
        _S,
        "No plausible heart rate is found; look at the ECG and check the sampling frequency of the export.",
    ),
    _C.SAMPLING_FREQUENCY_SUSPECTED: Reason(
        _S,
        "Length and heart rate speak for another sampling frequency than the declared one; check the export; nothing was resampled.",
    ),
    _C.AGE_UNDER_18: Reason(_L, "Outside the intended use: age under 18 at acquisition."),
    _C.PACED: Reason(_L, "Outside the intended use: the device's statement names a pacemaker."),
    _C.SAME_BYTES: Reason(_I, "A byte copy of an ECG that already has a result; nothing to do."),
    _C.SAME_ACQUISITION: Reason(
        _I, "Another export of the same acquisition is current; nothing to do."
    ),
    _C.FILE_CHANGED: Reason(
        _I, "The file changed before it had a result; its newer content is an item of its own."
    ),
    _C.IDENTITY_CONFLICT: Reason(
        _I,
        "Two exports of one acquisition name different patients and nothing says which is newer; decide by hand.",
    ),
    _C.PATIENT_CORRECTED: Reason(
        _I,
        "A later export of the same acquisition names another patient; the later one is current.",
    ),
    _C.NEW: Reason(_E, "Not yet stable or not yet reached; it is looked at again in the next run."),
    _C.GONE: Reason(_E, "The file disappeared before it was read; bring it back if it matters."),
    _C.SOURCE_UNAVAILABLE: Reason(
        _E,
        "The source is missing, unreachable or suddenly empty; check the share's mount or the source's database.",
    ),
    _C.NOT_REGULAR: Reason(
        _E, "Not a regular file (a link, pipe, socket or device); put the file itself there."
    ),
    _C.PATH_OUTSIDE_ROOT: Reason(
        _E,
        "The row's path is absolute or leads out of the root (source.path_root, or --root in training); correct the table or the root.",
    ),
    _C.FILE_TOO_LARGE: Reason(
        _E, "Larger than the limit in the settings; no 10-s ECG is that large."
    ),
    _C.CHANGED_WHILE_READING: Reason(
        _E, "The file changed while it was read; it is read again later."
    ),
    _C.READ_FAILED: Reason(_E, "The file could not be read; check its permissions and the share."),
    _C.ARCHIVE_FAILED: Reason(
        _E,
        "A scored file could not be put into the archive; check its permissions and space; the next run tries again.",
    ),
    _C.OUT_OF_MEMORY: Reason(
        _E, "This machine had too little memory for this ECG; it is tried again, give it more."
    ),
    _C.CRASH_LOOP: Reason(
        _X,
        "Workers were lost on this ECG, claimed alone, one after another; keep it, report it, then retry by hand.",
    ),
    _C.INTERRUPTED: Reason(
        _E, "The run was stopped before it reached this ECG; the next run takes it."
    ),
    _C.OPERATOR: Reason(_I, "Set by an operator; the audit table says who and why."),
    _C.SETTINGS_INVALID: Reason(_E, "Correct the named key in the settings file or environment."),
    _C.DATABASE_MISSING: Reason(_E, "Create the database, then run `ecgbatch migrate`."),
    _C.DATABASE_UNAVAILABLE: Reason(_E, "Check the database's address, service and permissions."),
    _C.DATABASE_REVISION: Reason(_E, "Run `ecgbatch migrate` with this version of ecgbatch."),
    _C.SOURCE_QUERY_INVALID: Reason(
        _E,
        "Correct source.query: one SELECT that only reads, with a unique id, changed_at, and content or path.",
    ),
    _C.SOURCE_ROLE_WRITES: Reason(
        _E, "Give source.url a role that may only SELECT; this one may change tables."
    ),
    _C.SITE_KEY_MISSING: Reason(
        _E, "Name the site key file in the settings (site.key_file); 32 random bytes, mode 0600."
    ),
    _C.SITE_KEY_PERMISSIONS: Reason(
        _E, "Make the file of the key, or of identifiers, readable by its owner alone: chmod 600."
    ),
    _C.BUNDLE_INVALID: Reason(
        _E, "Copy the bundle again from where it was exported, whole and unedited."
    ),
    _C.BUNDLE_DIGEST: Reason(
        _E,
        "A file of the bundle differs from SHA256SUMS; copy the bundle again from where it was exported.",
    ),
    _C.BUNDLE_MISSING: Reason(
        _E, "Name the folder of the bundle with --bundle or in the settings."
    ),
    _C.BUNDLE_NOT_ACTIVE: Reason(_E, "Activate the bundle first with `ecgbatch bundle activate`."),
    _C.BUNDLE_NOT_CLINICAL: Reason(
        _E, "Set allow_demonstration = true, or name a clinical bundle in the settings."
    ),
    _C.BUNDLE_PINNED_DIGEST: Reason(
        _E,
        "The settings pin another bundle digest than the champion's; activate it or correct the pin.",
    ),
    _C.BUNDLE_GOLDEN: Reason(
        _E,
        "The golden ECGs are not reproduced on this machine; do not score here and run `ecgbatch doctor`.",
    ),
    _C.BUNDLE_PRECISION: Reason(
        _E, "The bundle has no tolerance for this precision; choose one that it admits."
    ),
    _C.RUNTIME_MISSING: Reason(
        _E,
        "The runtime of [scoring] cannot run here: install its extra (`pip install 'ecgbatch[openvino]'`, `[onnx]`), for cuda a GPU and a build of torch for it, or choose another runtime.",
    ),
    _C.PRECISION_MISMATCH: Reason(
        _E,
        "This processor would compute in another precision than the settings say; set `precision` of [scoring] to fp32, or score on a machine that has bf16.",
    ),
    _C.CONVERSION_FAILED: Reason(
        _E,
        "The bundle's net cannot be converted for this runtime here; see that memory and disk suffice, or set `runtime` of [scoring] to torch.",
    ),
    _C.CANARY_DIFFERS: Reason(
        _E,
        "A golden ECG did not come out of reader, gates, net and strata as it must, so nothing was scored; run `ecgbatch doctor` here.",
    ),
    _C.CUTS_INVERTED: Reason(
        _E, "The low cut must lie below the high cut; compute the cuts again."
    ),
    _C.CUTS_MISSING: Reason(
        _E, "A task that is not experimental needs cuts; the bundle serves training, not scoring."
    ),
    _C.CHECKPOINT_INVALID: Reason(
        _E, "The checkpoint does not fit the ECGFounder layout; the message names the tensor."
    ),
    _C.USE_BN_CONTRADICTED: Reason(
        _E, "State use_bn as the checkpoint's batch-norm statistics show it."
    ),
    _C.RUN_LOCKED: Reason(_E, "Another run works on this source or folder; wait for its end."),
    _C.LOCK_LOST: Reason(
        _E, "Another scan took this source over; nothing was lost, the next run goes on."
    ),
    _C.SQLITE_ON_NETWORK_FS: Reason(
        _E, "SQLite is not safe on a network file system; use a local disk, or PostgreSQL."
    ),
    _C.DISK_FULL: Reason(
        _E, "Free space on the disk of the database, or of what the message names."
    ),
    _C.RECORD_UNKNOWN: Reason(
        _E,
        "Give a recording_id or at least 12 hex digits of its file_digest, as `status` shows them.",
    ),
    _C.STATEMENT_INVALID: Reason(
        _E, "Correct the SQL statement; docs/sql.md lists every view, table and column."
    ),
    _C.STATEMENT_REFUSED: Reason(
        _E,
        "`ecgbatch sql` takes one statement that only reads; nothing was run. Changes go through the other commands.",
    ),
    _C.STATEMENT_TOO_SLOW: Reason(
        _E, "Bound the statement by a date or a recording, or raise --timeout."
    ),
    _C.MANIFEST_INVALID: Reason(
        _E, "Correct the named cells of the training manifest, or its mapping in [data]."
    ),
    _C.RUN_FOLDER_UNFIT: Reason(
        _E,
        "Run the step of `ecgbatch-train` that is missing (the first is `check-data`), or name another run folder.",
    ),
    _C.OUTPUT_UNWRITABLE: Reason(
        _E,
        "Name a place that this user can write, or mend its permissions, and run the command again.",
    ),
    _C.EXPORT_FOLDER_UNFIT: Reason(
        _E,
        "Name a new, empty folder with --out; the one named cannot be continued without rows twice or missed.",
    ),
    _C.PATIENT_MERGE_REFUSED: Reason(
        _I, "Look at what is merged with `ecgbatch patient lookup`; unmerge first what is wrong."
    ),
    _C.LEDGER_UNBALANCED: Reason(
        _X, "The ledger does not add up; keep the database as it is and report it."
    ),
    _C.NONDETERMINISTIC: Reason(
        _X, "The same ECG gave another number under the same key; run `ecgbatch doctor`."
    ),
    _C.INTERNAL_FAULT: Reason(_X, "A fault of ecgbatch itself; keep the log and report it."),
}


Unknown = Literal["other"]
"""Stands for every reason that this version does not know: a newer one has written it."""


def known(word: str) -> ReasonCode | Unknown:
    """The reason code of a word in the database; whoever shows it must not end for a new one."""
    return ReasonCode(word) if word in REASONS else "other"


def advice(reason: ReasonCode | Unknown) -> str:
    """The sentence that says what to do about `reason`."""
    if reason == "other":
        return "A newer version of ecgbatch wrote this reason; look at it with that version."
    return REASONS[reason].advice
