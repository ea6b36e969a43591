// Drives LiveKit's server SDK for Go, told what to do by lines of JSON on standard input; answers with lines of JSON.
// `lk egress` is this SDK behind a command line: it reads the request file with protojson and hands it to EgressClient.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const longestLine = 16 << 20

type call struct {
	Call    int             `json:"call"`
	Method  string          `json:"method"`
	Options json.RawMessage `json:"options"`
}

type options struct {
	URL, Key, Secret string
	Kind             string
	Request          json.RawMessage
	ID               string
	Layout           string
	Add, Remove      []string
	EgressID         string
	RoomName         string
}

type failure struct {
	Code    string `json:"code"`
	Status  int    `json:"status"`
	Message string `json:"message"`
}

var (
	client *lksdk.EgressClient
	// The generated client inside of it: what this SDK has no method for, later ones call like this.
	generated livekit.Egress
	token     string
)

func connect(o options) error {
	client = lksdk.NewEgressClient(o.URL, o.Key, o.Secret)
	generated = livekit.NewEgressProtobufClient(o.URL, http.DefaultClient)
	grant := &auth.VideoGrant{RoomRecord: true}
	made, err := auth.NewAccessToken(o.Key, o.Secret).SetVideoGrant(grant).SetValidFor(time.Hour).ToJWT()
	token = made
	return err
}

func startEgress(ctx context.Context, request *livekit.StartEgressRequest) (*livekit.EgressInfo, error) {
	headers := http.Header{"Authorization": {"Bearer " + token}}
	ctx, err := twirp.WithHTTPRequestHeaders(ctx, headers)
	if err != nil {
		return nil, err
	}
	return generated.StartEgress(ctx, request)
}

// One for each `--type` of `lk egress start`, and the one without.
func start(ctx context.Context, kind string, body []byte) (proto.Message, error) {
	switch kind {
	case "RoomCompositeEgressRequest":
		return started(ctx, body, client.StartRoomCompositeEgress)
	case "ParticipantEgressRequest":
		return started(ctx, body, client.StartParticipantEgress)
	case "TrackCompositeEgressRequest":
		return started(ctx, body, client.StartTrackCompositeEgress)
	case "TrackEgressRequest":
		return started(ctx, body, client.StartTrackEgress)
	case "WebEgressRequest":
		return started(ctx, body, client.StartWebEgress)
	case "StartEgressRequest":
		return started(ctx, body, startEgress)
	}
	return nil, fmt.Errorf("no request is called %q", kind)
}

func started[T any, P interface {
	*T
	proto.Message
}](ctx context.Context, body []byte, method func(context.Context, P) (*livekit.EgressInfo, error)) (proto.Message, error) {
	request := P(new(T))
	if err := protojson.Unmarshal(body, request); err != nil {
		return nil, err
	}
	return method(ctx, request)
}

func answer(method string, o options) (any, error) {
	ctx := context.Background()
	switch method {
	case "connect":
		return nil, connect(o)
	case "start":
		return shown(start(ctx, o.Kind, o.Request))
	case "stop":
		return shown(client.StopEgress(ctx, &livekit.StopEgressRequest{EgressId: o.ID}))
	case "layout":
		return shown(client.UpdateLayout(ctx, &livekit.UpdateLayoutRequest{EgressId: o.ID, Layout: o.Layout}))
	case "stream":
		return shown(client.UpdateStream(ctx, &livekit.UpdateStreamRequest{
			EgressId: o.ID, AddOutputUrls: o.Add, RemoveOutputUrls: o.Remove,
		}))
	case "list":
		listed, err := client.ListEgress(ctx, &livekit.ListEgressRequest{EgressId: o.EgressID, RoomName: o.RoomName})
		if err != nil {
			return nil, err
		}
		items := []any{}
		for _, info := range listed.Items {
			item, err := shown(info, nil)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	}
	return nil, fmt.Errorf("no method is called %q", method)
}

func shown(message proto.Message, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	body, err := protojson.Marshal(message)
	return json.RawMessage(body), err
}

func told(err error) failure {
	var refused twirp.Error
	if errors.As(err, &refused) {
		return failure{string(refused.Code()), twirp.ServerHTTPStatusFromErrorCode(refused.Code()), refused.Msg()}
	}
	return failure{Message: err.Error()}
}

func main() {
	var turn sync.Mutex
	var calls sync.WaitGroup
	say := func(message map[string]any) {
		line, err := json.Marshal(message)
		if err != nil {
			panic(err)
		}
		turn.Lock()
		defer turn.Unlock()
		fmt.Println(string(line))
	}
	handle := func(c call) {
		defer calls.Done()
		var o options
		if err := json.Unmarshal(c.Options, &o); err != nil {
			say(map[string]any{"call": c.Call, "error": told(err)})
		} else if result, err := answer(c.Method, o); err != nil {
			say(map[string]any{"call": c.Call, "error": told(err)})
		} else {
			say(map[string]any{"call": c.Call, "result": result})
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		calls.Add(1)
		if c.Method == "connect" {
			handle(c)
		} else {
			go handle(c)
		}
	}
	calls.Wait()
}
