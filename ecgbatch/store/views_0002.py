"""The second set of views: patients that were merged show their current key."""

from ecgbatch.store.views import views_0001


def views_0002(dialect: str) -> dict[str, str]:
    """In order of creation: name to CREATE VIEW, for `sqlite` or `postgresql`."""
    views = views_0001(dialect)
    latest = views["v_latest_risk"]
    latest = latest.replace(
        "r.patient_key,", "COALESCE(p.current_key, r.patient_key) AS patient_key,", 1
    )
    latest = latest.replace(
        "JOIN recording r ON r.recording_id = k.recording_id",
        "JOIN recording r ON r.recording_id = k.recording_id\n"
        "LEFT JOIN patient p ON p.patient_key = r.patient_key",
        1,
    )
    return {**views, "v_latest_risk": latest}
