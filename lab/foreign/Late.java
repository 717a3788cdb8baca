import java.io.File;

/**
 * A server of eight threads; a ninth counts for a second without a look whether to stop, and a tenth asks for a collection
 * meanwhile. Begins when a file named `trigger` comes to be. To be run with -XX:-UseCountedLoopSafepoints.
 */
public class Late {
    static volatile long sink;

    static void log(String text) {
        System.out.printf("%.6f %s%n", System.nanoTime() / 1e9, text);
        System.out.flush();
    }

    static void serve() {
        long last = System.nanoTime();
        while (true) {
            sink += new byte[2000].length;
            try {
                Thread.sleep(4);
            } catch (InterruptedException interrupted) {
                return;
            }
            long now = System.nanoTime();
            if (now - last > 60_000_000L) {
                log("SLOW " + Thread.currentThread().getName() + " " + (now - last) / 1_000_000 + " ms");
            }
            last = now;
        }
    }

    static long count(int rounds) {
        long number = 88172645463325252L;
        for (int i = 0; i < rounds; i++) {
            number ^= number << 13;
            number ^= number >>> 7;
            number ^= number << 17;
        }
        return number;
    }

    public static void main(String[] arguments) throws Exception {
        log("pid " + ProcessHandle.current().pid());
        for (int i = 0; i < 3000; i++) {
            sink += count(20_000);
        }
        long before = System.nanoTime();
        sink += count(100_000_000);
        int rounds = (int) (100_000_000 * 1e9 / (System.nanoTime() - before));
        for (int i = 0; i < 8; i++) {
            Thread thread = new Thread(Late::serve, "serve-" + i);
            thread.setDaemon(true);
            thread.start();
        }
        log("counted");
        while (!new File("trigger").exists()) {
            Thread.sleep(20);
        }
        Thread counter = new Thread(() -> {
            log("ACTION start count");
            sink += count(rounds);
            log("ACTION end count");
        }, "counter");
        counter.start();
        Thread.sleep(200);
        Thread.currentThread().setName("admin");
        log("ACTION start gc");
        System.gc();
        log("ACTION end gc");
        Thread.sleep(30_000);
    }
}
