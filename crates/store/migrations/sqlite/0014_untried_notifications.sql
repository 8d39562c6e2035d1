-- What was never tried is due whatever the clock says. It is found without the others of its receiver being looked at.
CREATE INDEX notifications_untried ON notifications (receiver, due_at) WHERE state = 0 AND due_at IS NOT NULL AND tries = 0;
