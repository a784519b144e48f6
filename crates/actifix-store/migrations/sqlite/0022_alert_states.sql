-- What rules remember, by project (0: the installation). Of what was kept by rule alone, only what a digest shows can be
-- told apart by project; it is kept, and said in time. Cooldowns and bursts begin anew.
ALTER TABLE alert_states RENAME TO alert_states_by_rule;
CREATE TABLE alert_states (
  name       TEXT    NOT NULL,
  project_id INTEGER NOT NULL,
  state      TEXT    NOT NULL,
  PRIMARY KEY (name, project_id)
) STRICT, WITHOUT ROWID;
INSERT INTO alert_states (name, project_id, state)
SELECT rule.name, coalesce(json_extract(sample.value, '$.project'), 0),
  json_object('samples', json_group_array(json(sample.value)), 'gathered', count(*),
    'digest_at', json_extract(rule.state, '$.digest_at'))
FROM alert_states_by_rule AS rule, json_each(rule.state, '$.samples') AS sample
WHERE json_valid(rule.state) AND json_extract(rule.state, '$.digest_at') IS NOT NULL
GROUP BY 1, 2;
DROP TABLE alert_states_by_rule;
