// What graphile-worker makes of jobs that do nothing, in its batching mode: a local queue, and completions in batches.
// Called with what to do and a number of jobs; DATABASE_URL says where the server is. Prints seconds.
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const [what, count] = [process.argv[2], Number(process.argv[3])];
const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => () => {});
const started = () => process.hrtime.bigint();
const seconds = (start) => Number(process.hrtime.bigint() - start) / 1e9;

if (what === "enqueue") {
    const utils = await makeWorkerUtils({ connectionString, logger });
    await utils.migrate();
    const batches = Array.from({ length: Math.ceil(count / 1000) }, (_, at) =>
        Array.from({ length: Math.min(1000, count - at * 1000) }, () => ({ identifier: "nothing", payload: {} })),
    );
    const start = started();
    for (const batch of batches) await utils.addJobs(batch);
    console.log(seconds(start));
    await utils.release();
} else if (what === "latency") {
    // From the call that adds a job to the task's first line, one at a time, in ms, in the middle.
    let begun;
    const runner = await run({
        preset: { worker: { connectionString, concurrentJobs: 2, logger } },
        taskList: { nothing: () => begun() },
    });
    const times = [];
    for (let job = 0; job < count; job++) {
        const start = started();
        const sign = new Promise((resolve) => (begun = resolve));
        await Promise.all([runner.addJob("nothing", {}), sign.then(() => times.push(seconds(start) * 1000))]);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    console.log(times.join("\n"));
    await runner.stop();
} else {
    let [done, finish] = [0, undefined];
    const enough = new Promise((resolve) => (finish = resolve));
    const start = started();
    const runner = await run({
        preset: {
            worker: {
                connectionString,
                concurrentJobs: 24,
                maxPoolSize: 10,
                localQueue: { size: 1000 },
                completeJobBatchDelay: 0,
                failJobBatchDelay: 0,
                logger,
            },
        },
        taskList: {
            nothing: () => {
                if (++done === count) finish();
            },
        },
    });
    await enough;
    await runner.stop();
    console.log(seconds(start));
}
