-- API keys have an end. Those that were made before have none: an upgrade must not lock anybody out.
ALTER TABLE binding_ivr.api_keys ADD COLUMN expires_at timestamptz;
