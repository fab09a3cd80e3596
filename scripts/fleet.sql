/* In which boot, and after which revision, did udev's wait for the disk double? */
WITH waits AS (
  SELECT run, sum(duration_ns) / 1e6 AS wait_ms
  FROM thread_states
  WHERE comm = 'udevd' AND state = 'blocked' AND ended_by = 'request'
  GROUP BY run
), boots AS (
  SELECT waits.run, trace.revision, wait_ms,
         avg(wait_ms) OVER (ORDER BY waits.run ROWS BETWEEN 20 PRECEDING AND 1 PRECEDING) AS usual_ms
  FROM waits JOIN trace ON waits.run = trace.run
)
SELECT run, revision, round(wait_ms, 1) AS wait_ms, round(usual_ms, 1) AS usual_ms
FROM boots WHERE wait_ms > 1.8 * usual_ms ORDER BY run LIMIT 1
