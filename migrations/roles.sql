-- The roles of ecgbatch on PostgreSQL, each with the least that it needs. docs/deploy.md says who
-- gets which. Run it as a superuser, connected to the database, before the first `ecgbatch migrate`
-- and after every later one; what stands below is all that the roles have, also after a second run.
-- `ecgbatch migrate --roles` prints it for the schema of the settings.
SET search_path = public;

BEGIN;

DO $roles$
DECLARE
  home text := trim(both '"' from current_setting('search_path'));
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY[
    'ecgbatch_owner', 'ecgbatch_worker', 'ecgbatch_reader', 'ecgbatch_clinical',
    'ecgbatch_operator', 'ecgbatch_identity'
  ] LOOP
    IF to_regrole(role_name) IS NULL THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
  IF to_regnamespace(quote_ident(home)) IS NULL THEN
    EXECUTE format('CREATE SCHEMA %I AUTHORIZATION ecgbatch_owner', home);
  END IF;
  IF to_regnamespace('identity') IS NULL THEN
    CREATE SCHEMA identity AUTHORIZATION ecgbatch_owner;
  END IF;
  EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', home);
  EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO ecgbatch_owner', home);
  GRANT USAGE, CREATE ON SCHEMA identity TO ecgbatch_owner;
  EXECUTE format(
    'GRANT USAGE ON SCHEMA %I TO ecgbatch_worker, ecgbatch_reader, ecgbatch_clinical,'
    ' ecgbatch_operator', home);
  GRANT USAGE ON SCHEMA identity TO ecgbatch_worker, ecgbatch_identity;
  EXECUTE format(
    'REVOKE ALL ON ALL TABLES IN SCHEMA %I, identity FROM PUBLIC, ecgbatch_worker,'
    ' ecgbatch_reader, ecgbatch_clinical, ecgbatch_operator, ecgbatch_identity', home);
END
$roles$;

-- Everything belongs to the owner, also what an account of another role has made: whoever owns a
-- table can drop it.
DO $owner$
DECLARE
  object_name text;
BEGIN
  FOREACH object_name IN ARRAY ARRAY[
    'alembic_version', 'source', 'item', 'recording', 'work', 'result', 'score', 'finding', 'run',
    'bundle', 'bundle_stratum', 'activation', 'event', 'audit', 'supersession', 'rescore', 'control',
    'firing', 'heartbeat', 'alert', 'patient', 'verification', 'v_disposition', 'v_failures',
    'v_latest_risk', 'v_as_of', 'v_worklist', 'v_patient_history', 'v_strata_daily',
    'v_run_health', 'v_gate_rates', 'v_bundle_comparison', 'v_bundle_stratum',
    'identity.patient_identifier'
  ] LOOP
    IF to_regclass(object_name) IS NOT NULL THEN
      EXECUTE format('ALTER TABLE %s OWNER TO ecgbatch_owner', to_regclass(object_name));
    END IF;
  END LOOP;
  FOREACH object_name IN ARRAY ARRAY['ecgbatch_append_only()', 'ecgbatch_chained()'] LOOP
    IF to_regprocedure(object_name) IS NOT NULL THEN
      EXECUTE format('ALTER FUNCTION %s OWNER TO ecgbatch_owner', to_regprocedure(object_name));
    END IF;
  END LOOP;
END
$owner$;

DO $grants$
DECLARE
  grants record;
  object_name text;
  sequence_name text;
BEGIN
  FOR grants IN SELECT * FROM (VALUES
    -- The reader sees numbers without patients, and that alone.
    ('ecgbatch_reader', 'SELECT', ARRAY[
      'alembic_version', 'v_strata_daily', 'v_run_health', 'v_gate_rates', 'v_bundle_comparison',
      'v_bundle_stratum']),
    -- Clinical users see risks under pseudonyms, and no place of a file.
    ('ecgbatch_clinical', 'SELECT', ARRAY[
      'alembic_version', 'v_strata_daily', 'v_run_health', 'v_gate_rates', 'v_bundle_comparison',
      'v_bundle_stratum', 'v_latest_risk', 'v_as_of', 'v_worklist', 'v_patient_history']),
    -- The worker. Results, scores and events it only adds; audit it cannot touch.
    ('ecgbatch_worker', 'SELECT', ARRAY[
      'alembic_version', 'source', 'item', 'recording', 'work', 'result', 'score', 'finding', 'run',
      'bundle', 'bundle_stratum', 'activation', 'event', 'supersession', 'rescore', 'control',
      'firing', 'heartbeat', 'alert', 'patient', 'verification', 'v_disposition', 'v_failures',
      'v_latest_risk', 'v_as_of', 'v_worklist', 'v_patient_history', 'v_strata_daily',
      'v_run_health', 'v_gate_rates', 'v_bundle_comparison', 'v_bundle_stratum']),
    ('ecgbatch_worker', 'INSERT', ARRAY[
      'source', 'item', 'recording', 'work', 'result', 'score', 'finding', 'run', 'event',
      'supersession', 'firing', 'heartbeat', 'alert', 'verification']),
    ('ecgbatch_worker', 'UPDATE', ARRAY[
      'source', 'item', 'recording', 'work', 'finding', 'run', 'supersession', 'firing', 'heartbeat',
      'alert']),
    ('ecgbatch_worker', 'DELETE', ARRAY['heartbeat']),
    ('ecgbatch_worker', 'INSERT', ARRAY['identity.patient_identifier']),
    -- The operator sees everything but identifiers and changes states, never results.
    ('ecgbatch_operator', 'SELECT', ARRAY[
      'alembic_version', 'source', 'item', 'recording', 'work', 'result', 'score', 'finding', 'run',
      'bundle', 'bundle_stratum', 'activation', 'event', 'audit', 'supersession', 'rescore',
      'control', 'firing', 'heartbeat', 'alert', 'patient', 'verification', 'v_disposition',
      'v_failures', 'v_latest_risk', 'v_as_of', 'v_worklist', 'v_patient_history',
      'v_strata_daily', 'v_run_health', 'v_gate_rates', 'v_bundle_comparison',
      'v_bundle_stratum']),
    ('ecgbatch_operator', 'INSERT', ARRAY[
      'work', 'run', 'bundle', 'bundle_stratum', 'activation', 'event', 'audit', 'supersession',
      'rescore', 'control', 'patient']),
    ('ecgbatch_operator', 'UPDATE', ARRAY[
      'item', 'recording', 'work', 'run', 'bundle', 'activation', 'supersession', 'rescore',
      'control', 'patient']),
    -- Identifiers: written by the worker, read by this role alone.
    ('ecgbatch_identity', 'SELECT', ARRAY['identity.patient_identifier'])
  ) AS listed (role_name, privilege, objects)
  LOOP
    FOREACH object_name IN ARRAY grants.objects LOOP
      CONTINUE WHEN to_regclass(object_name) IS NULL;
      EXECUTE format(
        'GRANT %s ON %s TO %I', grants.privilege, to_regclass(object_name), grants.role_name);
      CONTINUE WHEN grants.privilege <> 'INSERT';
      -- New keys come from the sequence that belongs to the table's first column.
      SELECT d.objid::regclass::text INTO sequence_name
      FROM pg_depend d
      JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
      WHERE d.refobjid = to_regclass(object_name) AND d.deptype IN ('a', 'i');
      IF sequence_name IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', sequence_name, grants.role_name);
      END IF;
    END LOOP;
  END LOOP;
  -- Statistics after a large scan; older servers gather them by themselves a minute later.
  IF current_setting('server_version_num')::integer >= 170000 AND to_regclass('work') IS NOT NULL THEN
    GRANT MAINTAIN ON item, work TO ecgbatch_worker;
  END IF;
END
$grants$;

COMMIT;
