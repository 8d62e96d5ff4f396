"""What of the synthetic cohort is not realistic, for a bundle's card."""

_LIMITS = """\
## What is not realistic

* The beat is a sum of Gaussian waves on one moving dipole; a real heart's field is not a dipole,
  least of all near the chest electrodes.
* A stenosis acts on Q wave, ST segment and T wave along one fixed direction per vessel. Real
  anatomy differs (right or left dominance), collaterals protect, and a resting ECG with severe
  stenosis is often normal; how often, this cohort does not claim to know.
* Sinus rhythm only: no atrial fibrillation, ectopic beats, bundle branch block, pacing,
  hypertrophy, old infarction of other cause, drugs or electrolytes.
* No electrode swap, saturation or lost lead. Devices differ in gain, filters, quantisation, noise
  and mains alone, and nothing ties a device to a kind of patient.
* Prevalences and effects are set, not estimated. Where they are raised (left main is about 0.1 %
  of patients sent to CCTA), risks, shares, NPV and incidences carry over to nobody.
* A patient's ECGs show one and the same disease, whether made a year before the CCTA or a year
  after it; only a revascularisation eases ST segment and T wave. No infarction leaves a trace in a
  later ECG. Earlier revascularisation strikes at random.
* Infarction and death have constant hazards that follow grades and age by a formula; treatment
  changes neither, and there is no other cause. Grades themselves predict, so an ECG predicts
  events no better than it shows grades. Follow-up ends at random, never because of illness.
* The statement "normal" follows the size of the drawn changes, and the pre-test probability is a
  formula with noise; no clinician and no device made them.
* Grades are drawn, not read by anyone: there is no reader error in them, and missing ones are
  missing at random.
"""


def limits() -> str:
    """Markdown with a heading of its own, to stand in every card of a synthetic bundle."""
    return _LIMITS
