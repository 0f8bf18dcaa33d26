import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Adapter for Redisson's RLock, with its defaults: the watchdog renews. Tasks are threads.
 *
 * <p>It speaks the line protocol that bench/README.md describes. It has not been run yet: no machine
 * that the bench ran on could fetch Redisson.
 */
public final class Adapter {
    private static final long HOLD_MS = 3;

    private final RedissonClient client;
    private final String key;
    private final RLock loneLock;

    private Adapter(String address, String key) {
        Config config = new Config();
        config.useSingleServer().setAddress("redis://" + address);
        this.client = Redisson.create(config);
        this.key = key;
        this.loneLock = client.getLock(key + "-lone");
    }

    /** One clock for all processes of this machine. */
    private static long nowUs() {
        return System.nanoTime() / 1000;
    }

    private String lone(int count) {
        List<String> spans = new ArrayList<>();
        for (int cycle = 0; cycle < count; cycle += 1) {
            long begun = System.nanoTime();
            loneLock.lock();
            loneLock.unlock();
            spans.add(String.valueOf((System.nanoTime() - begun) / 1000.0));
        }
        return "{\"cycle_us\": " + spans + "}";
    }

    private String tasks(int count, long millis) throws Exception {
        long begun = nowUs();
        long cycles = 0;
        for (long done : inThreads(count, task -> {
            RLock lock = client.getLock(key + "-" + task);
            long own = 0;
            for (; nowUs() - begun < millis * 1000; own += 1) {
                lock.lock();
                lock.unlock();
            }
            return own;
        })) {
            cycles += done;
        }
        return "{\"cycles\": " + cycles + ", \"elapsed_us\": " + (nowUs() - begun) + "}";
    }

    private String waiters(int count, long millis) throws Exception {
        long began = nowUs();
        long ended = began + millis * 1000;
        List<String> turns = new ArrayList<>();
        for (List<String> own : inThreads(count, task -> {
            RLock lock = client.getLock(key);
            List<String> found = new ArrayList<>();
            for (long asked = nowUs(); asked < ended; asked = nowUs()) {
                lock.lock();
                long granted = nowUs();
                if (granted < ended) {
                    Thread.sleep(HOLD_MS);
                }
                long released = nowUs();
                lock.unlock();
                found.add(String.format(
                    "{\"task\": %d, \"asked_us\": %d, \"granted_us\": %d, \"released_us\": %d}",
                    task, asked, granted, released));
            }
            return found;
        })) {
            turns.addAll(own);
        }
        return "{\"began_us\": " + began + ", \"ended_us\": " + ended + ", \"turns\": " + turns + "}";
    }

    private interface Work<T> {
        T of(int task) throws Exception;
    }

    private static <T> List<T> inThreads(int count, Work<T> work) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(count);
        try {
            List<Callable<T>> calls = new ArrayList<>();
            for (int task = 0; task < count; task += 1) {
                int number = task;
                calls.add(() -> work.of(number));
            }
            List<T> results = new ArrayList<>();
            for (Future<T> future : threads.invokeAll(calls)) {
                results.add(future.get());
            }
            return results;
        } finally {
            threads.shutdown();
        }
    }

    private static String version() {
        String redisson = Redisson.class.getPackage().getImplementationVersion();
        return "Redisson " + redisson + ", Java " + Runtime.version();
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        Adapter adapter = null;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.trim().split("\\s+");
            String reply;
            try {
                if (words[0].equals("start")) {
                    adapter = new Adapter(words[1], words[2]);
                    reply = "{\"version\": \"" + version() + "\"}";
                } else if (words[0].equals("warm")) {
                    adapter.lone(Integer.parseInt(words[1]));
                    reply = "{\"warmed\": " + words[1] + "}";
                } else {
                    int count = Integer.parseInt(words[2]);
                    reply = switch (words[1]) {
                        case "lone" -> adapter.lone(count);
                        case "tasks" -> adapter.tasks(count, Long.parseLong(words[3]));
                        case "waiters" -> adapter.waiters(count, Long.parseLong(words[3]));
                        default -> throw new IllegalArgumentException(line);
                    };
                }
            } catch (Exception error) {
                reply = "{\"error\": \"" + error.toString().replaceAll("[\"\\\\\n]", "'") + "\"}";
            }
            System.out.println(reply);
        }
        System.exit(0);
    }
}
