// The scenario with toxiproxy-java: every toxic is added, seen, listed, updated and removed.
// Usage: java -cp toxiproxy-java.jar:gson.jar Scenario.java PORT

import eu.rekawek.toxiproxy.Proxy;
import eu.rekawek.toxiproxy.ToxiproxyClient;
import eu.rekawek.toxiproxy.model.Toxic;
import eu.rekawek.toxiproxy.model.ToxicDirection;
import eu.rekawek.toxiproxy.model.ToxicList;
import eu.rekawek.toxiproxy.model.toxic.Latency;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class Scenario {
    static final ToxicDirection DOWN = ToxicDirection.DOWNSTREAM;

    /** Adds a toxic. */
    interface Add {
        Toxic to(ToxicList toxics) throws IOException;
    }

    /** What came back, how it ended, and how long it took. */
    record Seen(String got, String end, long ms) {}

    static void check(boolean ok, Object why) {
        if (!ok) {
            throw new AssertionError(why);
        }
    }

    static ServerSocket echoServer() throws IOException {
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        Thread accepting = new Thread(() -> {
            while (true) {
                try {
                    Socket client = listener.accept();
                    Thread echo = new Thread(() -> {
                        try (client) {
                            client.getInputStream().transferTo(client.getOutputStream());
                        } catch (IOException reset) {
                            // as some of the toxics want it
                        }
                    });
                    echo.setDaemon(true);
                    echo.start();
                } catch (IOException over) {
                    return;
                }
            }
        });
        accepting.setDaemon(true);
        accepting.start();
        return listener;
    }

    static Socket connect(Proxy proxy) throws IOException {
        String listen = proxy.getListen();
        int port = Integer.parseInt(listen.substring(listen.lastIndexOf(':') + 1));
        Socket client = new Socket();
        client.connect(new InetSocketAddress("127.0.0.1", port), 5_000);
        return client;
    }

    static Seen roundTrip(Socket client, int patienceMs) throws IOException {
        long begun = System.nanoTime();
        byte[] got = new byte[5];
        int count = 0;
        String end = "all";
        client.setSoTimeout(patienceMs);
        try {
            client.getOutputStream().write("hello".getBytes(StandardCharsets.US_ASCII));
            while (count < got.length) {
                int read = client.getInputStream().read(got, count, got.length - count);
                if (read < 0) {
                    end = "end";
                    break;
                }
                count += read;
            }
        } catch (SocketTimeoutException silence) {
            end = "silence";
        } catch (IOException reset) {
            end = "reset";
        }
        String text = new String(got, 0, count, StandardCharsets.US_ASCII);
        return new Seen(text, end, (System.nanoTime() - begun) / 1_000_000);
    }

    static Seen roundTrip(Proxy proxy, int patienceMs) throws IOException {
        try (Socket client = connect(proxy)) {
            return roundTrip(client, patienceMs);
        }
    }

    static void refused(String what, Add call) {
        try {
            call.to(null);
        } catch (IOException expected) {
            return;
        }
        throw new AssertionError(what + " was not refused");
    }

    static void see(String kind, Proxy proxy) throws IOException {
        Seen seen = roundTrip(proxy, kind.equals("timeout") ? 200 : 10_000);
        String[] expected = switch (kind) {
            case "timeout" -> new String[] {"", "silence"};
            case "reset_peer" -> new String[] {"", "reset"};
            case "limit_data" -> new String[] {"hel", "end"};
            default -> new String[] {"hello", "all"};
        };
        check(seen.got().equals(expected[0]) && seen.end().equals(expected[1]), kind + " " + seen);
        check(!kind.equals("latency") || seen.ms() >= 100, seen);
        check(!kind.equals("slicer") || seen.ms() >= 40, seen);
    }

    public static void main(String[] args) throws IOException {
        ToxiproxyClient server = new ToxiproxyClient("127.0.0.1", Integer.parseInt(args[0]));
        check(server.version().contains("\"version\""), server.version());
        ServerSocket echo = echoServer();
        String upstream = "127.0.0.1:" + echo.getLocalPort();
        Proxy proxy = server.createProxy("echo", "localhost:0", upstream);
        Socket live = connect(proxy);
        check(roundTrip(live, 10_000).got().equals("hello"), "a proxy without toxics");

        Map<String, Add> adds = new LinkedHashMap<>();
        adds.put("latency", toxics -> toxics.latency("latency", DOWN, 100));
        adds.put("bandwidth", toxics -> toxics.bandwidth("bandwidth", DOWN, 1000));
        adds.put("slow_close", toxics -> toxics.slowClose("slow_close", DOWN, 10));
        adds.put("timeout", toxics -> toxics.timeout("timeout", DOWN, 0));
        adds.put("reset_peer", toxics -> toxics.resetPeer("reset_peer", DOWN, 10));
        adds.put("slicer", toxics -> toxics.slicer("slicer", DOWN, 1, 0).setDelay(10_000));
        adds.put("limit_data", toxics -> toxics.limitData("limit_data", DOWN, 3));
        for (Map.Entry<String, Add> each : adds.entrySet()) {
            String kind = each.getKey();
            Toxic toxic = each.getValue().to(proxy.toxics());
            check(toxic.getName().equals(kind) && toxic.getStream() == DOWN, toxic);
            see(kind, proxy);
            if (kind.equals("latency")) {
                check(roundTrip(live, 10_000).ms() >= 100, "a live connection feels it, too");
                ((Latency) toxic).setLatency(200).setJitter(1);
                Latency listed = proxy.toxics().get(kind, Latency.class);
                check(listed.getLatency() == 200 && listed.getJitter() == 1, listed.getLatency());
                check(roundTrip(live, 10_000).ms() >= 199, "it feels the change, too");
            }
            toxic.setToxicity(0);
            check(proxy.toxics().get(kind).getToxicity() == 0, kind);
            check(roundTrip(proxy, 10_000).got().equals("hello"), kind + " at toxicity 0");
            toxic.remove();
            check(proxy.toxics().getAll().isEmpty(), kind + " is removed");
        }
        refused("a name that is taken", none -> {
            server.createProxy("echo", "localhost:0", upstream);
            return null;
        });
        refused("an unknown toxic", none -> proxy.toxics().get("nothing"));

        proxy.toxics().latency("slow", ToxicDirection.UPSTREAM, 5_000);
        proxy.disable();
        check(!proxy.isEnabled(), "disabled");
        refused("a connection", none -> {
            connect(proxy).close();
            return null;
        });
        server.reset();
        check(server.getProxy("echo").isEnabled() && proxy.toxics().getAll().isEmpty(), "reset");
        check(roundTrip(proxy, 4_000).got().equals("hello"), "after reset");
        server.createProxy("more", "localhost:0", upstream);
        List<Proxy> all = server.getProxies();
        check(all.size() == 2, all);
        for (Proxy each : all) {
            each.delete();
        }
        check(server.getProxies().isEmpty() && server.getProxyOrNull("echo") == null, "deleted");
        System.out.println("toxiproxy-java: ok");
    }
}
