"""The service's Prometheus metrics, in a registry of their own. No label ever holds a number or a user."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

VERDICT_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one service; names and labels are listed in docs/operations.md."""

    def __init__(self) -> None:
        """Register every metric at zero."""
        self.registry = CollectorRegistry()
        self.attempts = Counter(
            "binding_ivr_attempts",
            "Validation calls that ended, by outcome and fault.",
            ["outcome", "fault"],
            registry=self.registry,
        )
        self.calls = Gauge("binding_ivr_calls", "Validation calls in flight on this node.", registry=self.registry)
        self.call_seconds = Histogram(
            "binding_ivr_call_seconds",
            "From the claim of an attempt to the end of its channel.",
            buckets=(1, 2.5, 5, 10, 20, 30, 60, 90, 120, 180),
            registry=self.registry,
        )
        self.verdict_seconds = Histogram(
            "binding_ivr_verdict_commit_seconds",
            "From a call's verdict to its commit in PostgreSQL.",
            buckets=VERDICT_BUCKETS,
            registry=self.registry,
        )
        self.lookups = Counter(
            "binding_ivr_lookups",
            "Look-ups that were answered for the dialplan, by kind of question and status.",
            ["question", "status"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "binding_ivr_refusals",
            "Requests for a call that were refused, by limit or, without one, by the refusal's code.",
            ["reason"],
            registry=self.registry,
        )
        self.paused = Gauge(
            "binding_ivr_paused",
            "Circuit breakers that hold calls back, for accounts and for the whole system; paused or in trial.",
            ["scope"],
            registry=self.registry,
        )
        self.used = Gauge(
            "binding_ivr_limit_used",
            "How much of the system-wide limits is used.",
            ["limit"],
            registry=self.registry,
        )
        self.locked = Gauge(
            "binding_ivr_locked", "Users and numbers that are locked.", ["what"], registry=self.registry
        )
        self.desk_dialogues = Counter(
            "binding_ivr_desk_dialogues",
            "Enrolments at desk phones that ended, by result.",
            ["result"],
            registry=self.registry,
        )
        self.strays = Counter(
            "binding_ivr_stray_channels",
            "Our channels that had no call and were hung up.",
            registry=self.registry,
        )
        self.ari_ready = Gauge(
            "binding_ivr_ari_ready", "1 while the ARI event socket is connected.", registry=self.registry
        )

        self.mirror_behind = Gauge(
            "binding_ivr_mirror_behind",
            "Changed keys that are not in AstDB yet; NaN while that is unknown.",
            registry=self.registry,
        )
        self.mirror_lag_seconds = Gauge(
            "binding_ivr_mirror_lag_seconds",
            "Seconds since AstDB was last known to equal PostgreSQL; 0 while they are equal.",
            registry=self.registry,
        )
        self.mirror_keys = Gauge(
            "binding_ivr_mirror_keys", "Keys in AstDB at the last full comparison.", registry=self.registry
        )
        self.mirror_writes = Counter(
            "binding_ivr_mirror_writes", "Keys written to AstDB, by kind.", ["kind"], registry=self.registry
        )
        self.mirror_compare_seconds = Histogram(
            "binding_ivr_mirror_compare_seconds",
            "Duration of a full comparison of AstDB with PostgreSQL, including writes.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )

        self.webhook_deliveries = Counter(
            "binding_ivr_webhook_deliveries",
            "Attempts to deliver an event to a webhook, by receiver and result.",
            ["receiver", "result"],
            registry=self.registry,
        )
        self.webhook_pending = Gauge(
            "binding_ivr_webhook_pending",
            "Deliveries that are waiting; NaN while that is unknown.",
            registry=self.registry,
        )
        self.webhook_dead = Gauge(
            "binding_ivr_webhook_dead", "Deliveries that were given up and not yet dealt with.", registry=self.registry
        )
        self.webhook_oldest_seconds = Gauge(
            "binding_ivr_webhook_oldest_seconds", "Age of the oldest waiting delivery.", registry=self.registry
        )
        self.notices = Counter(
            "binding_ivr_notices",
            "Attempts to notify somebody of a change, by channel and result.",
            ["channel", "result"],
            registry=self.registry,
        )
        self.user_events = Counter(
            "binding_ivr_user_events", "AMI UserEvents, by result.", ["result"], registry=self.registry
        )

        self.bindings = Gauge(
            "binding_ivr_bindings",
            "Bindings in the database, by status; stale ones are verified, but their proof is getting old.",
            ["status"],
            registry=self.registry,
        )
        self.job_age_seconds = Gauge(
            "binding_ivr_job_age_seconds",
            "Seconds since a job that one node does for all last finished on any node; NaN before the first time.",
            ["job"],
            registry=self.registry,
        )
        self.job_rows = Counter(
            "binding_ivr_job_rows",
            "Rows that this node's jobs changed, by kind of change.",
            ["what"],
            registry=self.registry,
        )

        self.requests = Counter(
            "binding_ivr_http_requests",
            "HTTP requests answered, by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "binding_ivr_http_request_seconds",
            "From a request's head to its answer, without event streams.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=self.registry,
        )
        self.streams = Gauge("binding_ivr_event_streams", "Live event streams that are open.", registry=self.registry)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)
