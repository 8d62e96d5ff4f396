"""What scores: the net, proven, the reader process, and what every row will say of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgbatch import telemetry
from ecgbatch.admission import load_scorer
from ecgbatch.bundle.digest import read_manifest
from ecgbatch.canary import send
from ecgbatch.errors import SetupFault
from ecgbatch.examination import Terms
from ecgbatch.identity import Pseudonymiser
from ecgbatch.machine import decoders
from ecgbatch.pipeline import Instruments
from ecgbatch.preprocessing import filters
from ecgbatch.provenance import code_version, library_versions, pipeline_id
from ecgbatch.records import Provenance
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.settings import Settings
from ecgbatch.store.bundles import BundleRow
from ecgbatch.terms import Canary, ReasonCode

if TYPE_CHECKING:
    from ecgbatch.isolation.examiners import Examiners


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything an assessment depends on, and what every row will say of it."""

    instruments: Instruments
    provenance: Provenance
    scorer: Scorer
    examiners: "Examiners"

    def send_canary(self, number: int) -> Canary:
        """As `canary.send`, with the instruments and golden ECGs at hand."""
        return send(self.instruments, self.scorer.bundle, number)


@contextmanager
def bench_for(
    settings: Settings, champion: BundleRow, folder: Path, people: Pseudonymiser, worker: str
) -> Iterator[Bench]:
    """Weights loaded and proven, reader process started; both end with the block.

    Raises:
        SetupFault: the bundle is not reproduced here, or the readers do not start.
    """
    # All readers come with it: a run that finds nothing to score goes without.
    from ecgbatch.isolation.examiners import Examiners  # noqa: PLC0415

    terms = Terms(settings.quality, settings.eligibility, read_manifest(folder).preprocessing)
    if terms.preprocessing.has_filters and filters.kept() is None:
        # Once on a machine, where numba is installed.
        telemetry.logger().info("compiling_filters")
        filters.warm()
    n_processes = decoders(settings.work.decoders, settings.scoring.cores or None)
    with Examiners(settings.isolation, terms, n_processes) as examiners:
        scorer = load_scorer(settings, champion, folder)
        manifest = scorer.bundle.manifest
        if manifest.preprocessing != terms.preprocessing:
            raise SetupFault(ReasonCode.BUNDLE_DIGEST, "it was replaced while it was read")
        precision = settings.scoring.precision
        instruments = Instruments(
            decode=examiners.decode,
            examine=examiners.examine,
            score=lambda prepared: scorer.score([prepared])[0],
            manifest=manifest,
            numerics=precision,
            quality=settings.quality,
            eligibility=settings.eligibility,
            pseudonymiser=people,
            time_zone=settings.site.time_zone,
            keeps_identifiers=settings.site.keep_identifiers,
        )
        provenance = Provenance(
            pipeline_id=pipeline_id(manifest.preprocessing.digest, settings.gate_digest, precision),
            preprocessing_digest=manifest.preprocessing.digest,
            settings_digest=settings.gate_digest,
            runtime=scorer.runtime,
            precision=precision,
            code_version=code_version(),
            library_versions=library_versions(),
            worker=worker,
            run_id=0,
        )
        examiners.wait_until_ready()
        yield Bench(instruments, provenance, scorer, examiners)
