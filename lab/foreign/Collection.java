import java.io.File;
import java.util.HashMap;
import java.util.Map;

/** A server with 440 MB of live objects asks for a collection. Begins when a file named `trigger` comes to be. */
public class Collection {
    static volatile long sink;
    static Map<Integer, int[]> live = new HashMap<>();

    static void log(String text) {
        System.out.printf("%.6f %s%n", System.nanoTime() / 1e9, text);
        System.out.flush();
    }

    static void serve() {
        long last = System.nanoTime();
        while (true) {
            sink += new byte[2000].length;
            try {
                Thread.sleep(2);
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

    public static void main(String[] arguments) throws Exception {
        log("pid " + ProcessHandle.current().pid());
        for (int i = 0; i < 6_000_000; i++) {
            live.put(i, new int[] {i});
        }
        log("filled");
        for (int i = 0; i < 8; i++) {
            Thread thread = new Thread(Collection::serve, "serve-" + i);
            thread.setDaemon(true);
            thread.start();
        }
        while (!new File("trigger").exists()) {
            Thread.sleep(20);
        }
        Thread.currentThread().setName("admin");
        log("ACTION start gc");
        System.gc();
        log("ACTION end");
        Thread.sleep(30_000);
    }
}
