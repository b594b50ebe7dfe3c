"""The service's Prometheus metrics, in a registry of their own. No label ever holds a number or a user."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

VERDICT_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one service; names and labels are listed in docs/operations.md."""

    def __init__(self) -> None:
        """Register every metric at zero."""
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.attempts = counter(
            "binding_ivr_attempts", "Validation calls that ended, by outcome and fault.", ["outcome", "fault"]
        )
        self.calls = gauge("binding_ivr_calls", "Validation calls in flight on this node.")
        self.call_seconds = histogram(
            "binding_ivr_call_seconds",
            "From the claim of an attempt to the end of its channel.",
            buckets=(1, 2.5, 5, 10, 20, 30, 60, 90, 120, 180),
        )
        self.verdict_seconds = histogram(
            "binding_ivr_verdict_commit_seconds",
            "From a call's verdict to its commit in PostgreSQL.",
            buckets=VERDICT_BUCKETS,
        )
        self.lookups = counter(
            "binding_ivr_lookups",
            "Look-ups that were answered for the dialplan, by kind of question and status.",
            ["question", "status"],
        )
        self.refusals = counter(
            "binding_ivr_refusals",
            "Requests for a call that were refused, by limit or, without one, by the refusal's code.",
            ["reason"],
        )
        self.signins_refused = counter(
            "binding_ivr_signins_refused", "Sign-ins that were refused on this node, by the problem's code.", ["reason"]
        )
        self.paused = gauge(
            "binding_ivr_paused",
            "Circuit breakers that hold calls back, for accounts and for the whole system; paused or in trial.",
            ["scope"],
        )
        self.used = gauge("binding_ivr_limit_used", "How much of the system-wide limits is used.", ["limit"])
        self.locked = gauge("binding_ivr_locked", "Users and numbers that are locked.", ["what"])
        self.desk_dialogues = counter(
            "binding_ivr_desk_dialogues", "Enrolments at desk phones that ended, by result.", ["result"]
        )
        self.strays = counter("binding_ivr_stray_channels", "Our channels that had no call and were hung up.")
        self.ari_ready = gauge("binding_ivr_ari_ready", "1 while the ARI event socket is connected.")

        self.mirror_behind = gauge(
            "binding_ivr_mirror_behind", "Changed keys that are not in AstDB yet; NaN while that is unknown."
        )
        self.mirror_lag_seconds = gauge(
            "binding_ivr_mirror_lag_seconds",
            "Seconds since AstDB was last known to equal PostgreSQL; 0 while they are equal.",
        )
        self.mirror_keys = gauge("binding_ivr_mirror_keys", "Keys in AstDB at the last full comparison.")
        self.mirror_writes = counter("binding_ivr_mirror_writes", "Keys written to AstDB, by kind.", ["kind"])
        self.mirror_compare_seconds = histogram(
            "binding_ivr_mirror_compare_seconds",
            "Duration of a full comparison of AstDB with PostgreSQL, including writes.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )

        self.webhook_deliveries = counter(
            "binding_ivr_webhook_deliveries",
            "Attempts to deliver an event to a webhook, by receiver and result.",
            ["receiver", "result"],
        )
        self.webhook_pending = gauge(
            "binding_ivr_webhook_pending", "Deliveries that are waiting; NaN while that is unknown."
        )
        self.webhook_dead = gauge("binding_ivr_webhook_dead", "Deliveries that were given up and not yet dealt with.")
        self.webhook_oldest_seconds = gauge("binding_ivr_webhook_oldest_seconds", "Age of the oldest waiting delivery.")
        self.notices = counter(
            "binding_ivr_notices",
            "Attempts to notify somebody of a change, by channel and result.",
            ["channel", "result"],
        )
        self.user_events = counter("binding_ivr_user_events", "AMI UserEvents, by result.", ["result"])

        self.moves = counter(
            "binding_ivr_moves",
            "Moves and pulls of calls by Call Hot-switch that were kept, by kind and outcome.",
            ["kind", "outcome"],
        )
        self.moves_waiting = gauge(
            "binding_ivr_moves_waiting", "Moves that are noted in AstDB and not kept yet; NaN while that is unknown."
        )
        self.moves_lost = gauge(
            "binding_ivr_moves_lost",
            "Moves of this node's Asterisk that were never kept: no place in the list (full), not readable (bad), or "
            "too many of one extension in an hour (flood).",
            ["reason"],
        )

        self.bindings = gauge(
            "binding_ivr_bindings",
            "Bindings in the database, by status; stale ones are verified, but their proof is getting old.",
            ["status"],
        )
        self.job_age_seconds = gauge(
            "binding_ivr_job_age_seconds",
            "Seconds since a job that one node does for all last finished on any node; NaN before the first time.",
            ["job"],
        )
        self.job_rows = counter(
            "binding_ivr_job_rows", "Rows that this node's jobs changed, by kind of change.", ["what"]
        )

        self.requests = counter(
            "binding_ivr_http_requests", "HTTP requests answered, by route and status.", ["method", "route", "status"]
        )
        self.request_seconds = histogram(
            "binding_ivr_http_request_seconds",
            "From a request's head to its answer, without event streams.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
        )
        self.connections = gauge(
            "binding_ivr_connections", "Connections that are open, by listener: web, metrics, agi.", ["listener"]
        )
        self.connections_dropped = counter(
            "binding_ivr_connections_dropped",
            "Connections that were closed because they were silent, or because all places were taken, by listener.",
            ["listener"],
        )
        self.loop_lag_seconds = gauge(
            "binding_ivr_loop_lag_seconds",
            "By how much the event loop was late at its worst in the last two seconds.",
        )
        self.streams = gauge("binding_ivr_event_streams", "Live event streams that are open.")

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)
