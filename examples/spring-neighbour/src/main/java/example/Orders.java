/** Spring Boot in front: verifies the token itself, and hands it on to the Node.js service behind. */
package example;

import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.server.context.WebServerInitializedEvent;
import org.springframework.context.annotation.Bean;
import org.springframework.context.event.EventListener;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

@SpringBootApplication
@RestController
public class Orders {
  private final RestClient profiles;

  Orders(@Value("${PROFILE_URL}") String url) {
    profiles = RestClient.create(url);
  }

  @GetMapping("/orders")
  Map<String, Object> orders(@AuthenticationPrincipal Jwt caller) {
    var profile = profiles.get().headers(it -> it.setBearerAuth(caller.getTokenValue())).retrieve().body(Map.class);
    return Map.of("caller", caller.getSubject(), "profile", profile);
  }

  /** For access tokens by RFC 9068 (`typ: at+jwt`); by default Spring Security takes `typ: JWT` only. */
  @Bean
  JwtDecoder jwtDecoder(
      @Value("${ISSUER}") String issuer, @Value("${AUDIENCE}") String audience, @Value("${CLIENT}") String client) {
    var decoder = NimbusJwtDecoder.withIssuerLocation(issuer)
        .jwsAlgorithms(it -> it.add(SignatureAlgorithm.ES256))
        .validateType(false)
        .build();
    decoder.setJwtValidator(
        JwtValidators.createAtJwtValidator().issuer(issuer).audience(audience).clientId(client).build());
    return decoder;
  }

  @EventListener
  void listening(WebServerInitializedEvent event) {
    System.out.println("orders listens on http://127.0.0.1:" + event.getWebServer().getPort());
  }

  public static void main(String[] args) {
    SpringApplication.run(Orders.class, args);
  }
}
