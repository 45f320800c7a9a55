-- migrate:up

-- One row for an agent and task, with the sums of all its models as domain/cells.py reads them: common and served
-- have an entry for each in the same order, as aggregates of one group see the same rows.
create view evidence_cells with (security_invoker = true) as
select
    tenant_id, agent_id, task_type,
    string_agg(
        int8send(hashtextextended(model_id, 0)) || int4send(evidence_time(last_time)) || int4send(raw_n::int)
        || float8send(raw_s) || evidence_sum(explicit_n) || evidence_sum(explicit_s) || evidence_sum(explicit_q)
        || evidence_sum(decisions),
        ''
    ) as common,
    case when bool_or(calls <> 0 or errors <> 0 or latency_n <> 0 or latency_ms_sum <> 0) then
        string_agg(
            evidence_sum(calls) || evidence_sum(errors) || evidence_sum(latency_n) || evidence_sum(latency_ms_sum),
            ''
        )
    else '' end as served,
    coalesce(
        string_agg(
            int8send(hashtextextended(model_id, 0))
            || evidence_sum(thumbs_up_n) || evidence_sum(thumbs_up_s) || evidence_sum(thumbs_down_n)
            || evidence_sum(thumbs_down_s) || evidence_sum(self_n) || evidence_sum(self_s)
            || evidence_sum(self_q) || evidence_sum(implicit_n) || evidence_sum(implicit_s)
            || evidence_sum(implicit_q) || evidence_sum(regenerate_n) || evidence_sum(regenerate_s)
            || evidence_sum(copy_n) || evidence_sum(copy_s) || evidence_sum(continue_n)
            || evidence_sum(continue_s) || evidence_sum(abandon_n) || evidence_sum(abandon_s),
            ''
        ) filter (
            where thumbs_up_n <> 0 or thumbs_up_s <> 0 or thumbs_down_n <> 0 or thumbs_down_s <> 0
                or self_n <> 0 or self_s <> 0 or self_q <> 0 or implicit_n <> 0 or implicit_s <> 0 or implicit_q <> 0
                or regenerate_n <> 0 or regenerate_s <> 0 or copy_n <> 0 or copy_s <> 0
                or continue_n <> 0 or continue_s <> 0 or abandon_n <> 0 or abandon_s <> 0
        ),
        ''
    ) as rare
from evidence
group by tenant_id, agent_id, task_type;

grant select on evidence_cells to imrs_system;

-- migrate:down

drop view evidence_cells;
