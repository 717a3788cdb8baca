import java.util.ArrayList;
import java.util.List;

/**
 * A server of eight threads, whose loader fills a table for a while: the heap, which is small at first, has to be enlarged again and
 * again. To be run with -Xms32m -XX:+AlwaysPreTouch.
 */
public class Growing {
    static volatile Object sink;

    static void log(String text) {
        System.out.printf("%.6f %s%n", System.nanoTime() / 1e9, text);
        System.out.flush();
    }

    static void serve() {
        long last = System.nanoTime();
        while (true) {
            sink = new byte[2000];
            try {
                Thread.sleep(4);
            } catch (InterruptedException interrupted) {
                return;
            }
            long now = System.nanoTime();
            if (now - last > 50_000_000L) {
                log("SLOW " + Thread.currentThread().getName() + " " + (now - last) / 1_000_000 + " ms");
            }
            last = now;
        }
    }

    public static void main(String[] arguments) throws Exception {
        log("pid " + ProcessHandle.current().pid());
        for (int i = 0; i < 8; i++) {
            Thread thread = new Thread(Growing::serve, "serve-" + i);
            thread.setDaemon(true);
            thread.start();
        }
        Thread.sleep(1500);
        Thread loader = new Thread(() -> {
            log("ACTION start load");
            List<byte[]> table = new ArrayList<>();
            for (int step = 0; step < 100; step++) {
                for (int i = 0; i < 4096; i++) {
                    table.add(new byte[1000]);
                }
                try {
                    Thread.sleep(5);
                } catch (InterruptedException interrupted) {
                    return;
                }
            }
            log("ACTION end load " + table.size());
        }, "loader");
        loader.start();
        loader.join();
        Thread.sleep(400);
    }
}
