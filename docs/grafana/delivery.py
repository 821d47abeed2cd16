"""The rows about the way of the data: lost, late, throttled."""

from __future__ import annotations

from docs.grafana.panel import ME, NEUTRAL, ORANGE_ABOVE_ZERO, RED_UNLESS_ZERO, Panel, Query, Row, quantiles, stat

ROWS = (
    Row(
        "Is anything being lost?",
        (
            stat(
                "Bytes lost",
                "Bytes of Falco logs that vanished before they could be read, in the time shown.",
                f"sum(increase(falcowatch_gap_bytes_total{{{ME}}}[$__range]))",
                "bytes",
            ),
            stat(
                "Rejected",
                "Records that CloudWatch will never accept; they are in the dead letters of their node.",
                f"sum(increase(falcowatch_records_rejected_total{{{ME}}}[$__range])) or vector(0)",
                steps=ORANGE_ABOVE_ZERO,
            ),
            stat(
                "Dead letters",
                "Records, or the full bytes of shrunk ones, put aside below state_dir.",
                f"sum(increase(falcowatch_dead_letters_total{{{ME}}}[$__range])) or vector(0)",
                steps=ORANGE_ABOVE_ZERO,
            ),
            stat(
                "Books differ by",
                "read − shipped − filtered − rejected − in flight, over all agents. Anything but 0 is a bug of ours.",
                f"sum(falcowatch_records_read_total{{{ME}}}) - sum(falcowatch_records_shipped_total{{{ME}}})"
                f" - (sum(falcowatch_records_filtered_total{{{ME}}}) or vector(0))"
                f" - (sum(falcowatch_records_rejected_total{{{ME}}}) or vector(0))"
                f" - sum(falcowatch_records_in_flight{{{ME}}})",
                steps=RED_UNLESS_ZERO,
            ),
            stat(
                "In flight",
                "Records read and not yet settled; their bytes are still in the log files, too.",
                f"sum(falcowatch_records_in_flight{{{ME}}})",
                steps=NEUTRAL,
            ),
            stat(
                "Agents",
                "Agents that Prometheus scrapes.",
                f"count(falcowatch_build_info{{{ME}}})",
                steps=NEUTRAL,
            ),
            Panel(
                "The books",
                "Every record read is shipped, filtered or rejected; what is between the lines is in flight.",
                [
                    Query(f"sum(rate(falcowatch_records_read_total{{{ME}}}[$__rate_interval]))", "read"),
                    Query(
                        f"sum by (lane) (rate(falcowatch_records_shipped_total{{{ME}}}[$__rate_interval]))",
                        "shipped, {{lane}}",
                    ),
                    Query(
                        f"sum by (reason) (rate(falcowatch_records_filtered_total{{{ME}}}[$__rate_interval]))",
                        "filtered, {{reason}}",
                    ),
                    Query(
                        f"sum by (reason) (rate(falcowatch_records_rejected_total{{{ME}}}[$__rate_interval]))",
                        "rejected, {{reason}}",
                    ),
                ],
                unit="cps",
                width=16,
            ),
            Panel(
                "Checkpoint errors",
                "While the checkpoint cannot be written, shipping goes on, and a restart sends again.",
                [
                    Query(
                        f"sum by (instance) (increase(falcowatch_checkpoint_errors_total{{{ME}}}[$__rate_interval]))",
                        "{{instance}}",
                    )
                ],
            ),
        ),
    ),
    Row(
        "How far behind are we?",
        (
            Panel(
                "Oldest record unread or unsettled",
                "By node.",
                [Query(f"max by (instance) (falcowatch_lag_seconds{{{ME}}})", "{{instance}}")],
                unit="s",
            ),
            Panel(
                "Oldest unacknowledged, by lane",
                "The urgent lane has its own share of the budget and of the send slots.",
                [Query(f"max by (lane) (falcowatch_oldest_unacknowledged_seconds{{{ME}}})", "{{lane}}")],
                unit="s",
            ),
            Panel(
                "From Falco's clock to CloudWatch's yes",
                "Falco's event time to acknowledgement.",
                quantiles("falcowatch_alert_latency_seconds", "lane, le", "{{lane}}"),
                unit="s",
            ),
            Panel(
                "Backlog",
                "Bytes written to log files and not yet settled.",
                [Query(f"sum by (instance) (falcowatch_lag_bytes{{{ME}}})", "{{instance}}")],
                unit="bytes",
            ),
            Panel(
                "Waiting in the lanes",
                "Records read and queued.",
                [Query(f"sum by (lane) (falcowatch_lane_records{{{ME}}})", "{{lane}}")],
            ),
            Panel(
                "Since the last acknowledgement",
                "On a quiet node this grows up to the time between two heartbeats.",
                [
                    Query(
                        f"time() - max by (instance) (falcowatch_last_acknowledged_timestamp_seconds{{{ME}}} > 0)",
                        "{{instance}}",
                    )
                ],
                unit="s",
            ),
        ),
    ),
    Row(
        "Who is throttling us?",
        (
            Panel(
                "Puts by outcome",
                "PutLogEvents calls.",
                [Query(f"sum by (outcome) (rate(falcowatch_puts_total{{{ME}}}[$__rate_interval]))", "{{outcome}}")],
                unit="reqps",
            ),
            Panel(
                "Puts sent again, by reason",
                "The same bytes again, until CloudWatch has them.",
                [
                    Query(f"sum by (reason) (rate(falcowatch_retries_total{{{ME}}}[$__rate_interval]))", "{{reason}}"),
                    Query(f"sum(rate(falcowatch_throttled_total{{{ME}}}[$__rate_interval]))", "throttled, all"),
                ],
                unit="reqps",
            ),
            Panel(
                "Reading waits for the budget",
                "Share of the time; 1 is all of it. What is not read waits in the files.",
                [
                    Query(
                        f"sum by (instance) (rate(falcowatch_backpressure_seconds_total{{{ME}}}[$__rate_interval]))",
                        "{{instance}}",
                    )
                ],
                unit="percentunit",
            ),
            Panel(
                "Send slots",
                "Puts allowed at once (they shrink while CloudWatch throttles) and under way.",
                [
                    Query(f"sum(falcowatch_send_slots{{{ME}}})", "allowed"),
                    Query(f"sum(falcowatch_send_slots_used{{{ME}}})", "used"),
                ],
            ),
            Panel(
                "Duration of a put",
                "From the first byte sent to the answer.",
                quantiles("falcowatch_put_seconds", "le", "put"),
                unit="s",
            ),
            Panel(
                "Events in a put",
                "The quota counts puts: fuller batches are cheaper.",
                quantiles("falcowatch_put_events", "le", "events"),
            ),
        ),
    ),
)
