-- A proven number that an administrator has suppressed is trusted no more.
ALTER TABLE binding_ivr.bindings DROP CONSTRAINT bindings_reason_check;
ALTER TABLE binding_ivr.bindings ADD CONSTRAINT bindings_reason_check
  CHECK (reason IN ('reported', 'taken_over', 'aged', 'admin', 'own_number', 'suppressed'));
