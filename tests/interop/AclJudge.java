// Kafka's StandardAuthorizer as a filter: lines of acls.py in, the same lines with its verdicts out.
//
//     java -cp 'lib/*' AclJudge.java < questions > vectors
//
//     new ALLOW_EVERYONE                                          a node without bindings
//     acl RESOURCE PATTERN NAME PRINCIPAL HOST OPERATION PERMISSION    one more binding (Kafka's numbers)
//     ask PRINCIPAL HOST OPERATION RESOURCE NAME                  -> yes or no behind it
//     any PRINCIPAL HOST OPERATION RESOURCE                       -> with any resource of the kind

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.SecurityUtils;
import org.apache.kafka.metadata.authorizer.StandardAcl;
import org.apache.kafka.metadata.authorizer.StandardAuthorizer;
import org.apache.kafka.server.authorizer.Action;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.server.authorizer.AuthorizationResult;

public class AclJudge {
    record Context(KafkaPrincipal principal, InetAddress clientAddress) implements AuthorizableRequestContext {
        public String listenerName() { return "x"; }
        public SecurityProtocol securityProtocol() { return SecurityProtocol.SASL_SSL; }
        public int requestType() { return 0; }
        public int requestVersion() { return 0; }
        public String clientId() { return "x"; }
        public int correlationId() { return 0; }
    }

    static Context context(String[] words) throws Exception {
        return new Context(SecurityUtils.parseKafkaPrincipal(words[1]), InetAddress.getByName(words[2]));
    }

    static String say(AuthorizationResult result) {
        return result == AuthorizationResult.ALLOWED ? "yes" : "no";
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        StandardAuthorizer authorizer = null;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split("\t");
            switch (words[0]) {
                case "new":
                    Map<String, Object> config = new HashMap<>();
                    config.put("super.users", "User:root");
                    config.put("allow.everyone.if.no.acl.found", words[1].equals("1") ? "true" : "false");
                    authorizer = new StandardAuthorizer();
                    authorizer.configure(config);
                    authorizer.completeInitialLoad();
                    break;
                case "acl":
                    authorizer.addAcl(Uuid.randomUuid(), new StandardAcl(
                        ResourceType.fromCode(Byte.parseByte(words[1])), words[3],
                        PatternType.fromCode(Byte.parseByte(words[2])), words[4], words[5],
                        AclOperation.fromCode(Byte.parseByte(words[6])),
                        AclPermissionType.fromCode(Byte.parseByte(words[7]))));
                    break;
                case "ask":
                    line += "\t" + say(authorizer.authorize(context(words), List.of(new Action(
                        AclOperation.fromCode(Byte.parseByte(words[3])),
                        new ResourcePattern(ResourceType.fromCode(Byte.parseByte(words[4])), words[5],
                                            PatternType.LITERAL), 1, true, true))).get(0));
                    break;
                case "any":
                    line += "\t" + say(authorizer.authorizeByResourceType(context(words),
                        AclOperation.fromCode(Byte.parseByte(words[3])),
                        ResourceType.fromCode(Byte.parseByte(words[4]))));
                    break;
                default:
                    throw new IllegalArgumentException(line);
            }
            out.println(line);
        }
        out.flush();
    }
}
