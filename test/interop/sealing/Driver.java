/** Opens and seals with the program of docs/guides, as the JSON on standard input says. */

import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.util.JSONObjectUtils;
import java.nio.charset.StandardCharsets;
import java.util.*;

public final class Driver {
  public static void main(String[] arguments) throws Exception {
    Map<String, Object> task = JSONObjectUtils.parse(new String(System.in.readAllBytes(), StandardCharsets.UTF_8));
    Map<String, JWK> keys = new HashMap<>();
    for (Map<String, Object> key : list(task, "keys")) keys.put((String) key.get("kid"), JWK.parse(key));
    List<String> opened = new ArrayList<>();
    for (Map<String, Object> message : list(task, "messages")) opened.add(read(message, keys));
    List<String> sealed = new ArrayList<>();
    for (Map<String, Object> of : list(task, "seal")) {
      sealed.add(Sealed.seal((String) of.get("token"), (Long) of.get("token_exp"), (String) of.get("destination"),
          (String) of.get("trace"), JWK.parse(JSONObjectUtils.getJSONObject(of, "key")), (String) of.get("producer")));
    }
    System.out.println(JSONObjectUtils.toJSONString(Map.of("opened", opened, "sealed", sealed)));
  }

  private static String read(Map<String, Object> message, Map<String, JWK> keys) {
    long now = message.containsKey("now") ? (Long) message.get("now") : System.currentTimeMillis() / 1000;
    String traceparent = message.containsKey("traceparent") ? (String) message.get("traceparent") : "";
    try {
      return Sealed.open((String) message.get("authorization"), traceparent, (String) message.get("source"), keys, 3600, now);
    } catch (IllegalArgumentException refused) {
      return "refused";
    }
  }

  private static List<Map<String, Object>> list(Map<String, Object> of, String name) throws Exception {
    return of.containsKey(name) ? Arrays.asList(JSONObjectUtils.getJSONObjectArray(of, name)) : List.of();
  }
}
